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
#include "control/store.h"
#include "engine/engine.h"

namespace penstock::scenario {

// Time that moves when the simulation says so.
class SimClock final : public base::Clock {
 public:
  TimePoint Now() const override { return now; }
  double UnixSeconds() const override { return ToSeconds(now.time_since_epoch()); }
  TimePoint now = TimePoint() + std::chrono::hours(1);
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
  bool stopping = false;
  TimePoint stop_deadline = kNever;
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
  std::vector<engine::RouterOrder> routers;  // that run
  std::optional<std::string> proxy_error;
  std::optional<engine::ProxyOrder> proxy;  // that listens, on its port

  void AddNode(const resources::NodeSpec& node,
               const std::vector<engine::AdoptedReplica>& adopted = {});
  void KillNode(const NodeId& node);
  void Crash(const ReplicaId& id, const std::string& cause = "exit code 1");
  void FailCheck(const ReplicaId& id);
  void PassCheck(const ReplicaId& id);
  // Everything that lives now, as a node reports it to a new controller.
  std::vector<engine::AdoptedReplica> Survivors(const NodeId& node) const;

  void SetListener(engine::EngineListener& listener) override {
    listener_ = &listener;
    ++listeners_;
  }
  void Start(const engine::StartOrder& order) override;
  void Reconfigure(const engine::ReconfigureOrder& order) override;
  void Stop(const engine::StopOrder& order) override;
  void StartProxy(const NodeId& node, const engine::ProxyOrder& order,
                  std::function<void(Result<std::string>)> done) override;
  void StopProxy(const NodeId& node, std::function<void(Status)> done) override;
  void RunRouters(const NodeId&, const std::vector<engine::RouterOrder>& orders) override {
    routers = orders;
  }
  void StopNode(const NodeId& node) override { KillNode(node); }

 private:
  void Tell(const ReplicaId& id, engine::ReplicaEvent::Kind kind, const std::string& message = "");
  void Finish(const ReplicaId& id);

  SimClock& clock_;
  Agenda& agenda_;
  engine::EngineListener* listener_ = nullptr;
  int listeners_ = 0;  // that there were: answers to one that is gone are not given
};

// Keeps what each router was told; acknowledges after `delay`, or never.
class SimRouters final : public control::RoutePublisher {
 public:
  SimRouters(SimClock& clock, Agenda& agenda) : clock_(clock), agenda_(agenda) {}
  void Publish(control::RouterId router, const route::RouteUpdate& update) override;

  control::Controller* controller = nullptr;
  Duration delay = std::chrono::milliseconds(1);
  bool silent = false;
  std::map<DeploymentId, route::DeploymentRoute> table;  // what router 1 knows
  std::vector<route::HttpRoute> http;                    // the same
  std::map<control::RouterId, std::uint64_t> told;       // each one's last epoch

 private:
  SimClock& clock_;
  Agenda& agenda_;
};

class Sim {
 public:
  explicit Sim(std::uint64_t seed = 1);

  // The controller dies and a new one takes over with the same store; nodes stay.
  void RestartController();

  // The two halves of that: a new controller that no node has joined yet, and a node that joins.
  void ReplaceController();
  void Rejoin(const NodeId& node);

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

  // Aborts the test if an invariant is broken: no device given twice, no orphan, routes true.
  void CheckInvariants() const;

  SimClock clock;
  Agenda agenda;
  SimEngine engine{clock, agenda};
  SimRouters routers{clock, agenda};
  control::MemoryStore store;
  base::Random random;
  std::unique_ptr<control::Controller> controller;

 private:
  void StartController();
  int nodes_ = 0;
  std::vector<resources::NodeSpec> specs_;
};

}  // namespace penstock::scenario
