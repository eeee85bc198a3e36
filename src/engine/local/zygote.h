// One zygote: a process that has imported what every replica needs, and forks on command.
//
// Requests go to `python -m penstock._zygote` one at a time; the answer is the id of a process
// that is this process's child by then (docs/design/lifecycle.md) and does nothing until its
// control socket has something to read. A zygote that does not answer in time is killed.
//
// Thread: the agent's loop.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <string>

#include "base/fd.h"
#include "base/loop.h"
#include "engine/local/child.h"
#include "engine/local/messages.h"
#include "penstock/status.h"

namespace penstock::engine::local {

// What a fork is to become.
struct ForkRequest {
  ReplicaEnvironment environment;
  base::UniqueFd control;
  base::UniqueFd log;     // its standard output and error
  base::UniqueFd folder;  // to be in
  base::UniqueFd page;    // for its signs of life
};

// The process, or why there is none, and when the zygote was asked.
using OnForked = std::function<void(const Result<int>& pid, TimePoint asked)>;

class Zygote final : private base::FdHandler {
 public:
  // `answered` is called after each OnForked; `gone` once it has ended and every request has had
  // its answer. Neither from inside Start or Fork.
  struct Callbacks {
    std::function<void()> answered;
    std::function<void(const std::string& how)> gone;
  };

  // kInternal, with the reason, when it cannot be started. `options` get a descriptor more.
  static Result<std::shared_ptr<Zygote>> Start(base::Loop& loop, SpawnOptions options,
                                               Callbacks callbacks);
  Zygote(base::Loop& loop, base::UniqueFd socket, Callbacks callbacks);
  ~Zygote() override;

  Zygote(const Zygote&) = delete;
  Zygote& operator=(const Zygote&) = delete;

  // Pre: running().
  void Fork(ForkRequest request, OnForked done);

  // True while a process may exist that nobody has been told of.
  bool busy() const { return !waiting_.empty(); }

  // True once it has answered.
  bool proved() const { return proved_; }

  // False once it was killed, or has said that it will end.
  bool running() const { return child_ && child_->running() && !ending_; }

  int pid() const { return child_ && child_->running() ? child_->pid() : 0; }

  // Kills it.
  void Kill();

 private:
  struct Waiting {
    ForkRequest request;
    OnForked done;
  };

  void OnEvents(std::uint32_t events) override;
  void AskNext();
  Status Ask(const ForkRequest& request);
  bool Receive();
  void Answer(const Result<int>& pid);
  void OnExit(const std::string& how);

  base::Loop& loop_;
  base::UniqueFd socket_;
  Callbacks callbacks_;
  std::unique_ptr<Child> child_;
  std::deque<Waiting> waiting_;  // the first has been asked for
  TimePoint asked_{};
  base::Loop::TimerId patience_ = 0;
  bool proved_ = false;
  bool ending_ = false;
};

}  // namespace penstock::engine::local
