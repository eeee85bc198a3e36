// The port between the controller and whatever starts replicas.
//
// Orders return at once; what became of them comes back as events, in any order and possibly
// more than once: replica ids are never reused, so an event for an id that is gone is ignored.
// An engine decides nothing: node, devices and environment are in the order.
//
// Thread: the controller's loop, both ways.
#pragma once

#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "penstock/deployment.h"
#include "penstock/ids.h"
#include "penstock/rank.h"
#include "penstock/status.h"
#include "penstock/units.h"
#include "resources/node.h"

namespace penstock::engine {

// The replicas that one is placed, fails and ends with.
struct Gang {
  std::string id;                    // "" for none
  int rank = 0;                      // within it
  std::vector<std::string> members;  // ReplicaId::unique, by rank

  friend bool operator==(const Gang&, const Gang&) = default;
};

// Everything that a replica's process is made from.
struct StartOrder {
  ReplicaId id;
  NodeId node;
  resources::Allocation allocation;  // what it may use
  // What is reserved for it, here and elsewhere; it runs in the first. Empty: its allocation.
  std::vector<resources::Reservation> bundles;
  Gang gang;
  bool default_cpus = false;  // its CPU is Serve's default of one, not a wish
  std::string code_version;   // told back when the replica is adopted
  nlohmann::json app_record;  // the same: what a controller without its store rebuilds it from
  nlohmann::json launch;      // how to load the user's code; docs/design/control-protocol.md
  nlohmann::json options;     // the deployment's options as set
  RuntimeEnv runtime_env;
  int max_ongoing_requests = 5;
  std::string user_config = "null";  // JSON
  LoggingSpec logging;
  double health_check_period_s = 10;
  double health_check_timeout_s = 30;
  Rank rank;
  int world_size = 1;  // replicas that the deployment is configured to have
};

// A change that a running replica takes without a restart.
struct ReconfigureOrder {
  ReplicaId id;
  NodeId node;
  nlohmann::json options;     // as set from now on; told back when the replica is adopted
  nlohmann::json app_record;  // the same
  int max_ongoing_requests = 5;
  std::string user_config = "null";
  bool user_config_changed = false;
  LoggingSpec logging;
  double health_check_period_s = 10;
  double health_check_timeout_s = 30;
  Rank rank;
  int world_size = 1;
};

// The end of a replica: what runs may finish until the deadline.
struct StopOrder {
  ReplicaId id;
  NodeId node;
  Duration grace{};  // zero: at once
};

// Code of the user's that decides, in a process of its own: Python.
struct CodeHostOrder {
  enum class Kind {
    kRequestRouter,      // where requests go
    kAutoscalingPolicy,  // how many replicas there are to be
  };
  Kind kind = Kind::kRequestRouter;
  DeploymentId id;        // about which it decides
  std::string socket;     // to listen on; another one for other code
  nlohmann::json launch;  // the deployment's: interpreter, folders, code
  RuntimeEnv runtime_env;
  std::string import_path;    // of a class or function, unless `launch` has its code
  std::string kwargs = "{}";  // JSON: for a router's initialize_state, a policy class's constructor

  friend bool operator==(const CodeHostOrder&, const CodeHostOrder&) = default;
};

// What a proxy is started with.
struct ProxyOrder {
  std::string host;
  int port = 0;
  nlohmann::json options;  // the proxy's own: time-outs, limits, root path
  int grpc_port = 0;       // for gRPC, on every address; 0: none
  nlohmann::json grpc_options = nlohmann::json::object();
};

// What happened to a replica.
struct ReplicaEvent {
  enum class Kind {
    kSpawned,       // its process runs; `facts` says what it was given
    kReady,         // it listens; `facts` adds what its code told
    kStartFailed,   // it will not become ready: `message`, with the traceback if there is one
    kReconfigured,  // took the last change; `message` when it did not
    kHealthy,       // passed a check after a failure or being busy; `facts`
    kUnhealthy,     // failed a check: `message`, and `facts`
    kBusy,          // user code holds its loop up, and gets on: `facts`; no failure
    kStopped,       // process and all descendants are gone; `message` is the cause
  };
  Kind kind = Kind::kSpawned;
  ReplicaId id;
  std::string message;
  nlohmann::json facts;
};

// A replica that a joining node already runs: the controller is the one that is new.
struct AdoptedReplica {
  StartOrder order;
  bool ready = false;
  bool stopping = false;
  nlohmann::json facts;
};

// Who is told.
class EngineListener {
 public:
  virtual ~EngineListener() = default;

  // A node is there, with what it runs.
  virtual void OnNodeUp(const resources::NodeSpec& node,
                        const std::vector<AdoptedReplica>& replicas) = 0;

  // A node that is about to be told of has a proxy, which was started so.
  virtual void OnProxyRuns(const NodeId& node, const ProxyOrder& proxy) = 0;

  // A node is gone, and so is all that ran on it.
  virtual void OnNodeDown(const NodeId& node, const std::string& why) = 0;

  virtual void OnReplicaEvent(const ReplicaEvent& event) = 0;
};

class Engine {
 public:
  virtual ~Engine() = default;

  // Before anything else. `listener` outlives the engine.
  virtual void SetListener(EngineListener& listener) = 0;

  // kSpawned and kReady follow, or kStartFailed and kStopped.
  virtual void Start(const StartOrder& order) = 0;

  // kReconfigured follows.
  virtual void Reconfigure(const ReconfigureOrder& order) = 0;

  // kStopped follows, also for a replica that never became ready.
  virtual void Stop(const StopOrder& order) = 0;

  // Answers with where it listens ("host:port"), or why it does not.
  virtual void StartProxy(const NodeId& node, const ProxyOrder& order,
                          std::function<void(Result<std::string>)> done) = 0;

  // Answers when no proxy runs or listens there any more.
  virtual void StopProxy(const NodeId& node, std::function<void(Status)> done) = 0;

  // From now on these run there, and no others.
  virtual void RunCodeHosts(const NodeId& node, const std::vector<CodeHostOrder>& orders) = 0;

  // Ends a node and what runs there. OnNodeDown follows.
  virtual void StopNode(const NodeId& node) = 0;
};

}  // namespace penstock::engine
