// Whether the kernel has ended processes for want of memory: of the whole machine, or of a
// control group.
//
// The kernel tells nobody whom it ended but by its log, which most may not read; it counts for
// everybody (`oom_kill` in /proc/vmstat).
//
// Thread: the loop's.
#pragma once

#include <cstdint>
#include <string>

#include "base/loop.h"

namespace penstock::engine::local {

class OomWatch {
 public:
  // Looks now, and every `period` from now on.
  OomWatch(base::Loop& loop, Duration period = std::chrono::seconds(5),
           std::string path = "/proc/vmstat");
  ~OomWatch();

  OomWatch(const OomWatch&) = delete;
  OomWatch& operator=(const OomWatch&) = delete;

  // True when a process was ended so within about two periods. Looks again. False where the kernel
  // does not count.
  bool KilledLately();

 private:
  void Look();
  void LookLater();

  base::Loop& loop_;
  Duration period_;
  std::string path_;
  std::uint64_t kills_ = 0;
  TimePoint rose_ = kNever;  // when the count was last seen to have risen
  base::Loop::TimerId timer_ = 0;
};

}  // namespace penstock::engine::local
