// One node's agent: the parent of everything that runs there.
//
// Dials the controller, tells it what the node has and runs, and carries out its orders. When
// the controller is replaced, it dials again and tells the new one the same; replicas do not
// notice.
//
// Thread: the process's main thread.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/control_link.h"
#include "base/loop.h"
#include "base/random.h"
#include "engine/local/code_hosts.h"
#include "engine/local/oom_watch.h"
#include "engine/local/replica_process.h"
#include "engine/local/supervisor.h"
#include "engine/local/zygotes.h"

namespace penstock::engine::local {

// The variable by which a proxy gets its HTTP options, as JSON. Not an argument: everybody on the
// host sees those, and a password may be among them.
inline constexpr const char* kProxyOptions = "PENSTOCK_PROXY_OPTIONS";

class Agent {
 public:
  // `on_stop` is called when the controller orders the node to end.
  Agent(base::Loop& loop, NodeContext context, std::function<void()> on_stop);
  ~Agent();

  Agent(const Agent&) = delete;
  Agent& operator=(const Agent&) = delete;

  // Called once the controller knows the node.
  void SetOnJoined(std::function<void()> on_joined) { on_joined_ = std::move(on_joined); }

  // Starts what replicas of a script with this interpreter will be forked from.
  void WarmUp(const std::string& python);

  // Called when Reap, which could not do its work when it was called, can.
  void SetOnReapable(std::function<void()> on_reapable) { on_reapable_ = std::move(on_reapable); }
  // What is to be asked before a proxy is started: its options may name files of this host.
  void SetCheckProxy(std::function<Status(const base::Json& options)> check) {
    check_proxy_ = std::move(check);
  }

  // Waits for children that ended and are in nobody's care. Call on SIGCHLD. `others` are
  // further children that somebody watches.
  void Reap(std::vector<int> others);

  // Ends proxy, replicas and zygotes at once and calls `done` when the last descendant is gone.
  void StopEverything(std::function<void()> done);

 private:
  void Join();
  void OnCall(const std::string& method, const base::Json& params, base::Peer::Respond respond);
  Status StartReplica(const base::Json& params);
  Status ReconfigureReplica(const base::Json& params);
  Status StopReplica(const base::Json& params);
  Status RunCodeHosts(const base::Json& params);
  Result<std::string> StartProxy(const base::Json& params);
  void StopProxy(std::function<void()> done);
  void CollectMetrics(const base::Peer::Respond& respond);
  void OnEvent(const ReplicaEvent& event);
  void OnZygotesChanged();
  void FinishIfEmpty();

  base::Loop& loop_;
  base::Random random_;
  NodeContext context_;
  std::function<void()> on_stop_;
  std::function<void()> on_joined_;
  std::function<void()> on_empty_;
  std::function<void()> on_reapable_;
  bool reap_later_ = false;
  bool ending_ = false;  // takes up nothing new
  Zygotes zygotes_;
  OomWatch oom_;
  std::function<Status(const base::Json&)> check_proxy_;
  std::map<ReplicaId, std::shared_ptr<ReplicaProcess>> replicas_;
  CodeHosts code_hosts_;
  base::UniqueFd proxy_listener_;  // kept here: a proxy that died finds its clients waiting
  base::UniqueFd grpc_listener_;   // as well
  std::unique_ptr<Supervisor> proxy_;
  ProxyOrder proxy_order_;                             // with which it was started
  std::vector<std::function<void()>> proxy_stopping_;  // to be called when it has ended
  base::ControlLink link_;
};

}  // namespace penstock::engine::local
