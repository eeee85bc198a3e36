// A child process: started without surprises, watched by pidfd.
//
// The child leads a session and process group of its own, dies with its parent, and inherits
// the descriptors it is given and no others.
//
// Thread: the loop's, which must be the process's main thread: a child dies with the thread that
// started it.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/fd.h"
#include "base/loop.h"
#include "engine/local/environment.h"
#include "penstock/status.h"

namespace penstock::engine::local {

struct SpawnOptions {
  std::vector<std::string> argv;  // argv[0] is a path, or found on the PATH of `variables`
  Variables variables;
  std::string folder;    // to start in; "" for the parent's
  std::string log_path;  // standard output and error are appended to it; "" for the parent's
  std::vector<std::pair<int, int>> descriptors;  // ours -> the child's number, 3 and up
};

// How a process ended.
struct Exit {
  std::string how;               // for people and for the log: "exit code 1", "signal 9 (Killed)"
  int signal = 0;                // that ended it; 0 for none
  std::uint64_t peak_bytes = 0;  // the most memory that it had at once
};

class Child final : private base::FdHandler {
 public:
  using OnExit = std::function<void(const Exit& exit)>;

  // kInternal, with the reason, when it cannot be started. `on_exit` is called once, not from
  // inside Spawn.
  static Result<std::unique_ptr<Child>> Spawn(base::Loop& loop, const SpawnOptions& options,
                                              OnExit on_exit);
  // A child of this process that another process started for it. kNotFound when it is none.
  static Result<std::unique_ptr<Child>> Adopt(base::Loop& loop, int pid, OnExit on_exit);

  Child(base::Loop& loop, int pid, base::UniqueFd pidfd, OnExit on_exit);
  ~Child() override;

  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  int pid() const { return pid_; }

  // True until on_exit.
  bool running() const { return static_cast<bool>(pidfd_); }

  // Sends a signal to it alone; nothing when it has ended.
  void Signal(int signal) const;

 private:
  void OnEvents(std::uint32_t events) override;

  base::Loop& loop_;
  int pid_;
  base::UniqueFd pidfd_;
  OnExit on_exit_;
};

}  // namespace penstock::engine::local
