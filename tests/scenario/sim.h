// A whole instance on a simulated clock: the real controller, an engine whose replicas start,
// fail and die as the test says, routers that acknowledge when the test lets them.
//
// An hour of it takes milliseconds. Nothing here sleeps, and the same seed gives the same run.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/random.h"
#include "control/app_request.h"
#include "control/controller.h"
#include "control/policy_port.h"
#include "control/store.h"
#include "engine/engine.h"
#include "scenario/mortal.h"

namespace penstock::scenario {

// Time that moves when the simulation says so.
class SimClock final : public base::Clock {
 public:
  TimePoint Now() const override { return now; }
  double UnixSeconds() const override { return ToSeconds(now.time_since_epoch()) + unix_offset_s; }
  TimePoint now = TimePoint() + std::chrono::hours(1);
  double unix_offset_s = 0;  // somebody set the wall clock
};

// What is to happen, in order of time and then of asking.
class Agenda {
 public:
  void At(TimePoint when, std::function<void()> what) {
    entries_[{when, next_++}] = std::move(what);
  }
  TimePoint next() const { return entries_.empty() ? kNever : entries_.begin()->first.first; }
  void RunFirst() {
    auto first = entries_.extract(entries_.begin());
    first.mapped()();
  }

 private:
  std::map<std::pair<TimePoint, std::uint64_t>, std::function<void()>> entries_;
  std::uint64_t next_ = 0;
};

// A replica's process, as the simulated engine sees it.
struct SimReplica {
  engine::StartOrder order;
  bool ready = false;
  bool start_failed = false;
  bool stopping = false;
  bool refused = false;  // its last change of configuration
};

// What connections do to messages on them. One that is lost is lost with its connection.
struct LinkFaults {
  base::Random* random = nullptr;  // nullptr: every message arrives at once, and once
  Duration max_delay{};            // orders keep their order, events do not
  double duplicated = 0;           // the share of messages that come twice
};

class SimEngine final : public engine::Engine {
 public:
  SimEngine(SimClock& clock, Agenda& agenda) : clock_(clock), agenda_(agenda) {}

  // How replicas of a deployment behave from now on.
  struct Behaviour {
    Duration start = std::chrono::milliseconds(100);  // from order to ready
    Duration drain = std::chrono::milliseconds(50);   // from stop to gone, if the grace allows
    std::string start_error;                          // constructor raises this
    std::string reconfigure_error;
  };
  std::map<std::string, Behaviour> behaviours;  // by deployment name

  std::map<ReplicaId, SimReplica> replicas;
  std::vector<engine::ReconfigureOrder> reconfigured;
  int starts = 0;
  LinkFaults faults;
  std::function<void(const engine::StopOrder&)> on_stop;  // a replica is told to stop
  std::vector<engine::CodeHostOrder> code_hosts;          // that run
  std::optional<std::string> proxy_error;
  std::optional<engine::ProxyOrder> proxy;  // that listens, on its port

  void AddNode(const resources::NodeSpec& node,
               const std::vector<engine::AdoptedReplica>& adopted = {});
  void KillNode(const NodeId& node);
  // The connection breaks; the node and what runs on it go on.
  void Disconnect(const NodeId& node);
  bool Connected(const NodeId& node) const { return links_.contains(node); }
  void Crash(const ReplicaId& id, const std::string& cause = "exit code 1");
  void FailCheck(const ReplicaId& id);
  void PassCheck(const ReplicaId& id);
  void SayBusy(const ReplicaId& id);
  // Everything that lives now, as a node reports it to a new controller.
  std::vector<engine::AdoptedReplica> Survivors(const NodeId& node) const;

  void SetListener(engine::EngineListener& listener) override {
    listener_ = &listener;
    ++listeners_;
    links_.clear();  // until the nodes dial the new controller
  }
  void Start(const engine::StartOrder& order) override;
  void Reconfigure(const engine::ReconfigureOrder& order) override;
  void Stop(const engine::StopOrder& order) override;
  void StartProxy(const NodeId& node, const engine::ProxyOrder& order,
                  std::function<void(Result<std::string>)> done) override;
  void StopProxy(const NodeId& node, std::function<void(Status)> done) override;
  void RunCodeHosts(const NodeId&, const std::vector<engine::CodeHostOrder>& orders) override {
    code_hosts = orders;
  }
  void StopNode(const NodeId& node) override { KillNode(node); }

 private:
  // A node's connection to the controller.
  struct Link {
    std::uint64_t number = 0;  // differs from that of any before
    TimePoint last_order{};
  };

  void Tell(const ReplicaId& id, engine::ReplicaEvent::Kind kind, const std::string& message = "");
  void TellFrom(const NodeId& node, const engine::ReplicaEvent& event);
  void Order(const NodeId& node, const std::function<void()>& carry_out);
  void Deliver(const NodeId& node, TimePoint when, std::function<void()> what);
  Duration Delay() const;
  int Copies() const;
  void Begin(const engine::StartOrder& order);
  void Change(const engine::ReconfigureOrder& order);
  void End(const engine::StopOrder& order);
  void Finish(const ReplicaId& id);

  SimClock& clock_;
  Agenda& agenda_;
  engine::EngineListener* listener_ = nullptr;
  std::map<NodeId, Link> links_;
  std::uint64_t next_link_ = 1;
  int listeners_ = 0;  // that there were: answers to one that is gone are not given
};

// Policies of the user's: answer after `delay`, or never.
class SimPolicies final : public control::PolicyPort {
 public:
  SimPolicies(SimClock& clock, Agenda& agenda) : clock_(clock), agenda_(agenda) {}
  void Ask(const std::string& socket, const nlohmann::json& context,
           std::function<void(Result<double>)> done) override {
    asked.push_back({socket, context});
    if (silent) return;
    agenda_.At(clock_.now + delay, [this, done = std::move(done)] { done(answer); });
  }
  void Forget(const std::string& socket) override { forgotten.push_back(socket); }

  struct Question {
    std::string socket;
    nlohmann::json context;
  };
  std::vector<Question> asked;
  std::vector<std::string> forgotten;
  Result<double> answer = 1.0;
  Duration delay = std::chrono::milliseconds(1);
  bool silent = false;

 private:
  SimClock& clock_;
  Agenda& agenda_;
};

// Keeps what each router was told; acknowledges after `delay`, or never.
class SimRouters final : public control::RoutePublisher {
 public:
  SimRouters(SimClock& clock, Agenda& agenda) : clock_(clock), agenda_(agenda) {}
  void Publish(control::RouterId router, const route::RouteUpdate& update) override;

  control::Controller* controller = nullptr;
  Duration delay = std::chrono::milliseconds(1);
  bool silent = false;
  std::function<bool()> loses;                           // whether the next acknowledgement is lost
  std::map<DeploymentId, route::DeploymentRoute> table;  // what router 1 knows
  std::vector<route::HttpRoute> http;                    // the same
  std::map<control::RouterId, std::uint64_t> told;       // each one's last epoch

  // True when router 1 does not send there, or has had two seconds to learn that.
  bool MayStop(const ReplicaId& id) const;
  void ForgetAcknowledged() {
    acknowledged_ = 0;
    dropped_.clear();
  }

 private:
  struct Dropped {
    std::uint64_t epoch = 0;
    TimePoint when{};
  };
  bool Routed(const ReplicaId& id) const;
  void Adopt(const route::RouteUpdate& update);

  SimClock& clock_;
  Agenda& agenda_;
  std::uint64_t acknowledged_ = 0;        // by router 1, as far as the controller heard
  std::map<ReplicaId, Dropped> dropped_;  // from its table, by this controller
};

class Sim {
 public:
  explicit Sim(std::uint64_t seed = 1, placement::Strategy strategy = placement::Strategy::kSpread);

  // The controller dies and a new one takes over with the same store; nodes stay.
  void RestartController();

  // The controller dies at the point after that many (mortal.h), and another one takes over at
  // once.
  void DieAfter(int points);
  int deaths() const { return deaths_; }

  // The controller dies with its store; a new one takes over with an empty one.
  void LoseStore();

  // The two halves of that: a new controller that no node has joined yet, and a node that joins.
  void ReplaceController();
  void Rejoin(const NodeId& node);

  // A node leaves with what runs on it, or its connection breaks, or it dials again.
  void KillNode(const NodeId& node);
  void Disconnect(const NodeId& node);
  const std::vector<resources::NodeSpec>& nodes() const { return specs_; }  // those that live

  // Adds a node with whole amounts; returns its id.
  NodeId AddNode(const std::string& name, std::map<std::string, int> totals,
                 resources::Labels labels = {});

  // Deploys one deployment with `options` as application `app`; fails the test if it is refused.
  void Deploy(const std::string& app, const nlohmann::json& options,
              const std::string& version = "v1");

  // The same with the whole of the control protocol's deploy.
  void DeployApp(const nlohmann::json& params, const std::string& version = "v1");

  // The same, for deploys that may be refused.
  Status TryDeploy(const nlohmann::json& params, const std::string& version = "v1");

  // What follows at once from what happened.
  void Settle();

  // Lets time pass; everything due happens in its order.
  void Run(Duration span);

  // Lets time pass until `done`; false if it does not come true within `limit`.
  bool RunUntil(const std::function<bool()>& done, Duration limit = std::chrono::minutes(5));

  // The deployment "d" of an application, or a named one.
  const control::Deployment* Find(const std::string& app, const std::string& name = "d") const;
  int Running(const std::string& app, const std::string& name = "d") const;
  std::string AppStatus(const std::string& app) const;  // "RUNNING", "" when it is gone
  std::vector<ReplicaId> Replicas(const std::string& app, const std::string& name = "d") const;

  // Reports that a router queues and runs this much, all of it on one replica if there is one.
  void Load(const std::string& app, double queued, double running,
            const std::string& router = "proxy");

  // Replicas that were stopped while a router might send to them.
  const std::vector<ReplicaId>& stopped_early() const { return stopped_early_; }

  // Whether a node was ever drained: a deployment stays HEALTHY while its replicas move.
  bool drained() const;

  // Fails the test for everything that is BrokenNow (invariants.h).
  void CheckInvariants() const;

  SimClock clock;
  Agenda agenda;
  SimEngine engine{clock, agenda};
  SimRouters routers{clock, agenda};
  SimPolicies policies{clock, agenda};
  control::MemoryStore store;
  base::Random random;
  std::unique_ptr<control::Controller> controller;

 private:
  void StartController();
  Life life_;
  MortalEngine mortal_engine_{life_, engine};
  MortalStore mortal_store_{life_, store};
  MortalPublisher mortal_routers_{life_, routers};
  placement::Strategy strategy_;
  int deaths_ = 0;
  std::string store_lost_;
  int nodes_ = 0;
  bool drained_ = false;
  std::vector<ReplicaId> stopped_early_;
  std::vector<resources::NodeSpec> specs_;
};

}  // namespace penstock::scenario
