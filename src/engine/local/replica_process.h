// One replica on this node, from spawn to the end of its last descendant.
//
// Thread: the agent's loop.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/loop.h"
#include "base/peer.h"
#include "base/progress_page.h"
#include "base/random.h"
#include "engine/engine.h"
#include "engine/local/child.h"
#include "engine/local/health_watch.h"
#include "engine/local/node_context.h"
#include "engine/local/oom_watch.h"
#include "engine/local/process_tree.h"
#include "engine/local/zygotes.h"

namespace penstock::engine::local {

// What a name is called in the name of a log file.
std::string FileName(const std::string& text);

class ReplicaProcess {
 public:
  // Forked from one of `zygotes` where that is possible.
  // `tell` passes events on; kStopped is the last, after which the object may be destroyed.
  ReplicaProcess(base::Loop& loop, base::Random& random, const NodeContext& context,
                 Zygotes& zygotes, OomWatch& oom, StartOrder order,
                 std::function<void(const ReplicaEvent&)> tell);
  ~ReplicaProcess();

  ReplicaProcess(const ReplicaProcess&) = delete;
  ReplicaProcess& operator=(const ReplicaProcess&) = delete;

  // Starts it. What goes wrong comes as an event.
  void Start();

  // New limits and configuration.
  void Reconfigure(const ReconfigureOrder& order);

  // Lets it finish, at most for `grace`, and ends it. Again, with a shorter grace, hurries it.
  void Stop(Duration grace);

  // Asks its process what it has counted; `done` once that has answered, or will not.
  void CollectMetrics(base::Peer::OnReply done);

  // The last that it has told, as a source of `metrics.collect`; null before.
  const base::Json& metrics() const { return metrics_; }

  // As a new controller has to know it.
  AdoptedReplica Describe() const;

  // 0 once it has ended.
  int pid() const { return child_ && child_->running() ? child_->pid() : 0; }

 private:
  void RefuseStart(const std::string& why);
  std::string Folder() const;
  void Fork(const ZygoteKey& key);
  void OnForked(const Result<int>& pid, TimePoint asked);
  void StartFresh(const std::string& why);
  void OnBegun(std::unique_ptr<Child> child, base::UniqueFd control);
  void Initialize();
  void OnInitialized(const Result<base::Message>& answer);
  void AddFacts(const base::Json& told);
  void Adopt(const ReconfigureOrder& order);
  void WatchHealth();
  void OnHealth(const HealthWatch::Report& report);
  void Farewell();
  void Kill();
  std::string Words(const Exit& exit);
  void OnExit(const std::string& how);
  void Tell(ReplicaEvent::Kind kind, const std::string& message = "");
  std::string LogTail() const;
  base::Json InitParams() const;

  base::Loop& loop_;
  base::Random& random_;
  const NodeContext& context_;
  Zygotes& zygotes_;
  OomWatch& oom_;
  StartOrder order_;
  std::function<void(const ReplicaEvent&)> tell_;
  base::Json facts_ = base::Json::object();
  ReplicaEnvironment environment_;
  base::UniqueFd waiting_control_;  // our end, while the zygote is at work
  base::Json metrics_;
  std::unique_ptr<Child> child_;
  WatchdogLimits limits_;
  std::unique_ptr<base::ProgressPage> page_;
  std::shared_ptr<base::Peer> control_;
  std::unique_ptr<HealthWatch> health_;
  std::unique_ptr<TreeKiller> killer_;
  TimePoint began_{};  // the step of the start that is under way
  std::string log_path_;
  std::string socket_path_;
  bool ready_ = false;
  bool stopping_ = false;
  bool start_failed_ = false;
  base::Loop::TimerId kill_timer_ = 0;
};

}  // namespace penstock::engine::local
