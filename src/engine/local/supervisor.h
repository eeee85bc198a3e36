// Keeps one native child running: starts it, and starts it again when it ends.
//
// Thread: the agent's loop.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/loop.h"
#include "engine/local/child.h"

namespace penstock::engine::local {

class Supervisor {
 public:
  // `name` is for the log. The descriptors in `options` stay open as long as the supervisor.
  Supervisor(base::Loop& loop, std::string name, SpawnOptions options);
  ~Supervisor();

  Supervisor(const Supervisor&) = delete;
  Supervisor& operator=(const Supervisor&) = delete;

  // kInternal when even the first start fails.
  Status Start();

  // Ends the child for good; `done` is called when it has ended. Call once.
  void Stop(std::function<void()> done);

  // 0 between two lives.
  int pid() const { return child_ && child_->running() ? child_->pid() : 0; }

 private:
  void OnExit(const std::string& how);

  base::Loop& loop_;
  std::string name_;
  SpawnOptions options_;
  std::unique_ptr<Child> child_;
  TimePoint started_{};
  Duration delay_{};
  base::Loop::TimerId timer_ = 0;
  bool stopping_ = false;
  std::function<void()> on_stopped_;
};

}  // namespace penstock::engine::local
