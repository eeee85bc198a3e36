// The controller: the one writer of what should be, and the one who makes it so.
//
// A shell. Every decision is a call of a pure function (reconcile, rollout, victims, status,
// placement, autoscale); this class keeps the state, carries plans out, and passes on what
// happened. It runs on any clock and engine: in production on the kernel's and the local
// engine, in the scenario tests on simulated ones.
//
// Events change the state and mark what they touched; Settle() then does everything that follows
// from it. The caller calls Settle() after each batch of events and at next_wake().
//
// Thread: the controller's loop.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/random.h"
#include "control/app_request.h"
#include "control/autoscaler.h"
#include "control/front_door.h"
#include "control/leaving.h"
#include "control/placer.h"
#include "control/reconcile.h"
#include "control/route_book.h"
#include "control/router_hosts.h"
#include "control/state.h"
#include "control/store.h"
#include "engine/engine.h"
#include "penstock/status.h"

namespace penstock::control {

struct ControllerOptions {
  placement::Policy placement;
  std::string sockets;  // folder for the sockets of custom request routers
  // How long after a restart to wait for the nodes that were there before.
  Duration recovery_wait = std::chrono::seconds(5);
};

class Controller final : public engine::EngineListener {
 public:
  struct Ports {
    const base::Clock& clock;
    engine::Engine& engine;
    Store& store;
    RoutePublisher& publisher;
    base::Random& random;
  };

  // The ports outlive the controller.
  Controller(Ports ports, ControllerOptions options);

  // Takes up what the store remembers. Call once, first. Nodes and replicas come back as the
  // engine reports them.
  Status Recover();

  // ---- what users want ----

  // Deploys or updates an application, as a whole or not at all. kFailedPrecondition during a
  // shutdown.
  Status Deploy(AppRequest request);

  // Removes an application; one that does not exist is removed already.
  void Delete(const std::string& app);

  // Removes every application, then the proxy. `done` is called when all of it is gone.
  void Shutdown(std::function<void(Status)> done);

  // Makes the head node's proxy listen; during a shutdown, once that has ended. `done` gets its
  // address, or why it does not listen; the options of a proxy that listens already are not
  // changed.
  void StartProxy(const DoorOptions& options, FrontDoor::OnOpened done);

  // How proxies log, and applications that do not say: `logging_config`, or null for the default.
  // kInvalidArgument; then nothing changes.
  Status SetLogging(const nlohmann::json& logging_config);
  const nlohmann::json& logging() const { return logging_; }

  // Answers when the application runs and every proxy knows its route (ok), when its deploy
  // failed (kFailedPrecondition with the message), or when it is gone (kNotFound).
  void WaitRunning(const std::string& app, std::function<void(Status)> done);

  // Answers when the application is gone; "" waits for all of them and a shutdown.
  void WaitGone(const std::string& app, std::function<void(Status)> done);

  // ---- what routers say ----

  void OnSubscribe(RouterId router, const std::string& name, bool everything,
                   const std::vector<DeploymentId>& deployments);
  void OnAcknowledge(RouterId router, std::uint64_t epoch);
  void OnRouterGone(RouterId router);
  void OnLoad(const LoadReport& report);

  // ---- what the engine says ----

  void OnNodeUp(const resources::NodeSpec& node,
                const std::vector<engine::AdoptedReplica>& replicas) override;
  void OnNodeDown(const NodeId& node, const std::string& why) override;
  void OnReplicaEvent(const engine::ReplicaEvent& event) override;

  // ---- time ----

  // Does everything that follows from what happened since the last call.
  void Settle();

  // When Settle() has something to do even if nothing happens.
  TimePoint next_wake() const { return wake_; }

  // ---- what is so ----

  // True while a new controller waits for the nodes that were there before: it decides nothing and
  // tells routers nothing, which go by what they know.
  bool Recovering() const;

  const State& state() const { return state_; }
  std::map<NodeId, ProxyInfo> proxies() const { return door_.proxies(); }
  const RouteBook& routes() const { return book_; }

 private:
  struct Waiter {
    std::string app;
    bool running = false;                // waits for it to run, else for it to be gone
    std::optional<std::uint64_t> epoch;  // of the routes, once it runs
    TimePoint since{};
    std::function<void(Status)> done;
  };
  struct LateStart {
    DoorOptions options;
    FrontDoor::OnOpened done;
  };
  enum class ShutdownStep { kNone, kApps, kProxy };
  // A replica of a deployment that is no more: held until it is gone.
  struct Stray {
    NodeId node;
    resources::Allocation allocation;
  };

  void Touch(const DeploymentId& id);
  void ComputeWake(TimePoint now);
  bool ReconcileTouched(TimePoint now);
  void Carry(Deployment& deployment, const Plan& plan, TimePoint now);
  void StopReplica(Deployment& deployment, const std::string& unique, TimePoint now);
  void Reconfigure(Deployment& deployment, Replica& replica);
  bool Place(TimePoint now);
  void Launch(Deployment& deployment, Replica& replica, TimePoint now);
  bool Autoscale(TimePoint now);
  void PublishRoutes();
  void StopAcknowledged(TimePoint now);
  void DropGone();
  void FinishShutdown();
  void RefreshStatuses();
  void AnswerWaiters(TimePoint now);
  bool Answer(Waiter& waiter, TimePoint now);
  std::string FailureOf(const App& app) const;
  void Save();
  void Adopt(const NodeId& node, const engine::AdoptedReplica& adopted);
  void Resume(Deployment& deployment, const NodeId& node, const engine::AdoptedReplica& adopted,
              const DeploymentSpec& spec);
  void ForgetMissingNodes();
  void ForgetReplica(const ReplicaId& id, const std::string& cause);
  void OnStrayEvent(const engine::ReplicaEvent& event);
  route::RouterRoute RouterOf(const Deployment& deployment) const;
  route::DeploymentRoute RouteOf(const Deployment& deployment) const;
  std::vector<route::HttpRoute> HttpRoutes() const;

  Ports ports_;
  ControllerOptions options_;
  State state_;
  RouteBook book_;
  Leaving leaving_;
  Autoscaler autoscaler_;
  std::map<ReplicaId, Stray> strays_;
  std::map<RouterId, std::string> routers_;  // their names
  FrontDoor door_;
  RouterHosts router_hosts_;
  nlohmann::json logging_;  // null: the default
  ShutdownStep shutdown_ = ShutdownStep::kNone;
  std::vector<LateStart> late_starts_;  // of the proxy, after the shutdown
  std::vector<Waiter> waiters_;

  std::set<DeploymentId> touched_;                   // to reconcile
  std::map<DeploymentId, TimePoint> touched_later_;  // to reconcile then
  std::map<DeploymentId, TimePoint> autoscale_due_;  // not to be decided upon before
  std::set<DeploymentId> routes_touched_;            // to publish
  std::set<DeploymentId> unsaved_;                   // to remember
  std::vector<Write> writes_;                        // to commit beside them
  bool http_touched_ = false;
  bool place_again_ = false;         // capacity or demand changed
  std::set<NodeId> expected_nodes_;  // were there before the restart
  TimePoint recovery_deadline_{};
  TimePoint wake_ = kNever;
};

}  // namespace penstock::control
