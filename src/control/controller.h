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
#include "control/code_host_book.h"
#include "control/compaction.h"
#include "control/facts_book.h"
#include "control/front_door.h"
#include "control/leaving.h"
#include "control/placer.h"
#include "control/rebuild.h"
#include "control/reconcile.h"
#include "control/route_book.h"
#include "control/state.h"
#include "control/store.h"
#include "engine/engine.h"
#include "penstock/status.h"

namespace penstock::control {

struct ControllerOptions {
  placement::Policy placement;
  CompactionOptions compaction;  // where `placement` packs
  std::string sockets;           // folder for the sockets of custom request routers
  // How long after a restart to wait for the nodes that were there before.
  Duration recovery_wait = std::chrono::seconds(5);
  // The state database was lost: why, for people. What runs tells what should be.
  std::string store_lost;
};

class Controller final : public engine::EngineListener {
 public:
  struct Ports {
    const base::Clock& clock;
    engine::Engine& engine;
    Store& store;
    RoutePublisher& publisher;
    base::Random& random;
    PolicyPort* policies = nullptr;  // without it policies of the user's are not asked
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

  // From now on a deployment is to have so many replicas, >= 0: what an external scaler says. No
  // bounds apply. kNotFound; kFailedPrecondition when its application has no external scaler, or it
  // is being deleted; kInvalidArgument when that is not whole gangs. Then nothing changes.
  Status Scale(const DeploymentId& id, int replicas);

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

  // Takes a node out of use: nothing new is placed there, and what serves there goes on until it
  // does elsewhere, at the latest `within` from now, when there is a limit. Again, it changes the
  // limit. kNotFound; kInvalidArgument for a node that is dead or a limit below zero.
  Status Drain(const std::string& node, std::optional<Duration> within);

  // Takes it into use again.
  Status Undrain(const std::string& node);

  // Answers when nothing is left on it; kFailedPrecondition when it is in use again.
  void WaitDrained(const std::string& node, std::function<void(Status)> done);

  // ---- what routers say ----

  void OnSubscribe(RouterId router, const std::string& name, bool everything,
                   const std::vector<DeploymentId>& deployments);
  void OnAcknowledge(RouterId router, std::uint64_t epoch);
  void OnRouterGone(RouterId router);
  void OnLoad(const LoadReport& report);

  // ---- what the engine says ----

  void OnNodeUp(const resources::NodeSpec& node,
                const std::vector<engine::AdoptedReplica>& replicas) override;
  void OnProxyRuns(const NodeId& node, const engine::ProxyOrder& proxy) override;
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
  // What people should know about the instance as a whole; "" for nothing. Until a
  // shutdown.
  const std::string& notice() const { return notice_; }
  const Autoscaler& autoscaler() const { return autoscaler_; }
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
  struct DrainWaiter {
    NodeId node;
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
    std::vector<resources::Reservation> held;
  };

  // What Settle() has to look at. All of it follows from what was touched: the work is in
  // proportion to what changed and not to what there is.
  struct Changes {
    std::set<DeploymentId> deployments;
    std::set<std::string> apps;
  };

  void Touch(const DeploymentId& id);
  void AutoscaleAt(const DeploymentId& id, TimePoint when);
  void ComputeWake();
  bool ReconcileTouched(TimePoint now);
  void Carry(Deployment& deployment, const Plan& plan, TimePoint now);
  enum Grace { kOfOptions, kAtOnce };
  void StopReplica(Deployment& deployment, const std::string& unique, TimePoint now,
                   Grace allowed = kOfOptions);
  void Reconfigure(Deployment& deployment, Replica& replica);
  bool Place(TimePoint now);
  engine::Gang GangOf(const Deployment& deployment, const Replica& replica) const;
  void Launch(Deployment& deployment, Replica& replica, TimePoint now);
  bool Autoscale(TimePoint now);
  void PublishRoutes();
  void StopAcknowledged(TimePoint now);
  void DropGone(const Changes& changes);
  void FinishShutdown();
  void RefreshStatuses(const Changes& changes);
  void AnswerWaiters(TimePoint now);
  bool Answer(Waiter& waiter, TimePoint now);
  std::string FailureOf(const App& app) const;
  void Save();
  void Adopt(const NodeId& node, const engine::AdoptedReplica& adopted);
  void Resume(Deployment& deployment, const NodeId& node, const engine::AdoptedReplica& adopted,
              const DeploymentSpec& spec);
  void ForgetMissingNodes();
  void NoteLostUnseen();
  void FinishRebuild();
  void ForgetNotice();
  void TellRecord(const App& app);
  Result<placement::ClusterNode*> NodeNamed(const std::string& name);
  void SetDraining(const NodeId& id, bool draining, TimePoint deadline);
  Status RecoverDraining(const std::map<std::string, std::string>& values);
  void RestoreDraining(const NodeId& id);
  void ForgetDraining(const NodeId& id);
  void AnswerDrainWaiters();
  bool Compacts() const;
  bool HasSettled() const;
  void Compact(TimePoint now);
  void TakeBundlesOn(const NodeId& node);
  void Cut(Deployment& deployment, const std::string& unique, const std::string& cause);
  void StopThoseWithoutBundles();
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
  CodeHostBook code_hosts_;
  nlohmann::json logging_;  // null: the default
  ShutdownStep shutdown_ = ShutdownStep::kNone;
  std::vector<LateStart> late_starts_;  // of the proxy, after the shutdown
  std::vector<Waiter> waiters_;
  std::vector<DrainWaiter> drain_waiters_;

  std::set<DeploymentId> touched_;                   // to reconcile
  std::map<DeploymentId, TimePoint> touched_later_;  // to reconcile then
  Changes changes_;                                  // since the last Settle
  FactsBook facts_;
  Compaction compaction_;
  std::set<DeploymentId> unsettled_;                 // are not healthy, or not as they should be
  std::set<DeploymentId> unplaced_;                  // may have replicas that wait for a place
  std::set<DeploymentId> spanning_;                  // may lie on several nodes
  std::map<DeploymentId, TimePoint> autoscale_due_;  // not to be decided upon before
  std::map<DeploymentId, TimePoint> autoscale_at_;   // to be decided upon then
  std::set<std::pair<TimePoint, DeploymentId>> autoscale_agenda_;  // the same, the first first
  std::set<DeploymentId> routes_touched_;                          // to publish
  std::set<DeploymentId> unsaved_;                                 // to remember
  std::vector<Write> writes_;                                      // to commit beside them
  bool http_touched_ = false;
  bool place_again_ = false;                        // capacity or demand changed
  std::set<NodeId> expected_nodes_;                 // were there before the restart
  std::map<NodeId, std::optional<double>> drains_;  // with the time of their deadlines
  TimePoint recovery_deadline_{};
  std::optional<Rebuild> rebuild_;  // while a controller without its store hears what runs
  std::string notice_;
  bool took_over_ = false;  // has looked at what is left since it recovered
  TimePoint wake_ = kNever;
};

}  // namespace penstock::control
