// Processes by more than a number: an id is given to somebody else once its process is gone.
#pragma once

#include <cstdint>

#include "base/fd.h"
#include "penstock/units.h"

namespace penstock::base {

struct Process {
  int pid = 0;                // 0: none
  std::uint64_t started = 0;  // in clock ticks since the machine was; tells apart who had the id

  // The process that has this id now; none when there is none.
  static Process WithId(int pid);

  // True while it runs. One that has ended and waits for its parent does not.
  bool alive() const;

  // A pidfd of it; empty when it has ended. What is sent through it reaches nobody else.
  UniqueFd Open() const;
};

// What all threads of a process have used of the CPUs, those that ended too; zero when there is no
// such process.
Duration CpuTime(int pid);

// The same of this process without the calling thread.
Duration CpuTimeOfOtherThreads();

// Sends a signal through a pidfd.
void SignalThrough(const UniqueFd& pidfd, int signal);

}  // namespace penstock::base
