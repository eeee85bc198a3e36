#include "control/controller.h"

#include <algorithm>
#include <utility>

#include "base/log.h"
#include "config/nested_options.h"
#include "control/persist.h"
#include "control/rollout.h"

namespace penstock::control {

using Json = nlohmann::json;

Controller::Controller(Ports ports, ControllerOptions options)
    : ports_(ports),
      options_(std::move(options)),
      book_(ports.publisher),
      autoscaler_(ports.policies,
                  [this](const Deployment& deployment) {
                    return code_hosts_.SocketOf(deployment.id, deployment.target,
                                                engine::CodeHostOrder::Kind::kAutoscalingPolicy);
                  }),
      door_(ports.engine,
            [this](const Write& write) {
              writes_.push_back(write);
              Save();
            }),
      code_hosts_(ports.engine, options_.sockets),
      compaction_(options_.compaction) {
  ports_.engine.SetListener(*this);
}

// ---- what users want ------------------------------------------------------------------------

Status Controller::Deploy(AppRequest request) {
  if (shutdown_ != ShutdownStep::kNone) {
    return Status(Code::kFailedPrecondition, "Serve is shutting down. Deploy application '" +
                                                 request.app.name + "' again when that has ended.");
  }
  if (Status bad = CheckPrefixFree(request.app, state_.apps); !bad.ok()) return bad;
  const TimePoint now = ports_.clock.Now();
  App& app = state_.apps[request.app.name];
  const Json record = RecordOf(app);
  for (const std::string& before : app.deployments) {
    const auto& names = request.app.deployments;
    if (std::find(names.begin(), names.end(), before) != names.end()) continue;
    const DeploymentId id{request.app.name, before};
    const auto gone = state_.deployments.find(id);
    if (gone == state_.deployments.end()) continue;
    MarkDeleting(gone->second);
    Touch(id);
    unsaved_.insert(id);
    routes_touched_.insert(id);
  }
  // Those that are being deleted keep their place in the application until they are gone.
  app = std::move(request.app);
  app.deployed_unix = ports_.clock.UnixSeconds();
  for (auto& [name, target] : request.deployments) {
    const DeploymentId id{app.name, name};
    Deployment& deployment = state_.deployments[id];
    deployment.id = id;
    Retarget(deployment, std::move(target), now);
    place_again_ = true;  // others may stand above it now, or it above others
    Touch(id);
    unsaved_.insert(id);
    routes_touched_.insert(id);
  }
  writes_.push_back(Remember(app));
  if (RecordsDiffer(record, RecordOf(app))) TellRecord(app);
  http_touched_ = true;
  base::LogInfo("deploy",
                {{"app", app.name}, {"deployments", std::to_string(app.deployments.size())}});
  changes_.apps.insert(app.name);
  RefreshStatuses(changes_);
  Save();
  return {};
}

Status Controller::Scale(const DeploymentId& id, int replicas) {
  const auto app = state_.apps.find(id.app);
  const auto found = state_.deployments.find(id);
  if (app == state_.apps.end() || found == state_.deployments.end()) {
    return Status(Code::kNotFound,
                  "Application or Deployment not found: there is no " + id.ToString() + ".");
  }
  if (!app->second.external_scaler) {
    return Status(Code::kFailedPrecondition,
                  "Cannot update replicas for " + id.ToString() +
                      ": its application was deployed with external_scaler_enabled=false.");
  }
  Deployment& deployment = found->second;
  if (deployment.target.deleting) {
    return Status(Code::kFailedPrecondition, "Deployment is deleted: " + id.ToString() + ".");
  }
  const int gang_size = GangSize(deployment.target.spec);
  if (replicas % gang_size != 0) {
    return InvalidArgument("target_num_replicas (" + std::to_string(replicas) +
                           ") must be a multiple of gang_size (" + std::to_string(gang_size) +
                           ").");
  }
  SetTargetReplicas(deployment, replicas);
  base::LogInfo("scale", {{"deployment", id.ToString()}, {"replicas", std::to_string(replicas)}});
  place_again_ = true;
  Touch(id);
  unsaved_.insert(id);
  routes_touched_.insert(id);
  Save();
  return {};
}

void Controller::Delete(const std::string& name) {
  const auto found = state_.apps.find(name);
  if (found == state_.apps.end()) return;
  found->second.deleting = true;
  changes_.apps.insert(name);
  for (auto& [id, deployment] : state_.deployments) {
    if (id.app != name) continue;
    MarkDeleting(deployment);
    Touch(id);
    unsaved_.insert(id);
    routes_touched_.insert(id);
  }
  writes_.push_back(Remember(found->second));
  http_touched_ = true;
  base::LogInfo("delete", {{"app", name}});
  Save();
}

void Controller::Shutdown(std::function<void(Status)> done) {
  for (const auto& [name, app] : state_.apps) Delete(name);
  if (shutdown_ == ShutdownStep::kNone) {
    shutdown_ = ShutdownStep::kApps;
    writes_.push_back(RememberShutdown(true));
    Save();
  }
  WaitGone("", std::move(done));
}

void Controller::StartProxy(const DoorOptions& options, FrontDoor::OnOpened done) {
  if (shutdown_ != ShutdownStep::kNone) {
    late_starts_.push_back({options, std::move(done)});
  } else {
    door_.Open(options, std::move(done));
  }
}

Status Controller::SetLogging(const Json& logging_config) {
  if (!logging_config.is_null()) {
    if (Status bad = config::ParseLogging(logging_config).status(); !bad.ok()) return bad;
  }
  logging_ = logging_config;
  writes_.push_back({kLogging, logging_.is_null() ? std::nullopt : std::optional(logging_.dump())});
  Save();
  return {};
}

void Controller::WaitRunning(const std::string& app, std::function<void(Status)> done) {
  waiters_.push_back(
      {.app = app, .running = true, .since = ports_.clock.Now(), .done = std::move(done)});
}

void Controller::WaitGone(const std::string& app, std::function<void(Status)> done) {
  waiters_.push_back({.app = app, .since = ports_.clock.Now(), .done = std::move(done)});
}

// ---- what routers say -----------------------------------------------------------------------

void Controller::OnSubscribe(RouterId router, const std::string& name, bool everything,
                             const std::vector<DeploymentId>& deployments) {
  routers_[router] = name;
  book_.Subscribe(router, everything, deployments);
  if (everything) door_.OnProxyUp(router, name);
}

void Controller::OnAcknowledge(RouterId router, std::uint64_t epoch) {
  book_.Acknowledge(router, epoch);
}

void Controller::OnRouterGone(RouterId router) {
  book_.Forget(router);
  door_.OnRouterGone(router);
  const auto name = routers_.extract(router);
  if (name.empty()) return;
  autoscaler_.ForgetRouter(name.mapped());
  // Its load may have been any deployment's.
  for (const auto& [id, due] : autoscale_due_) AutoscaleAt(id, ports_.clock.Now());
}

void Controller::OnLoad(const LoadReport& report) {
  const TimePoint now = ports_.clock.Now();
  autoscaler_.Note(report, now);
  AutoscaleAt(report.deployment, now);
}

// ---- what the engine says -------------------------------------------------------------------

void Controller::OnNodeUp(const resources::NodeSpec& node,
                          const std::vector<engine::AdoptedReplica>& replicas) {
  const auto drains = drains_;
  OnNodeDown(node.id, "it joined anew");  // of no effect unless it is thought to be alive
  drains_ = drains;
  state_.cluster.Join(node);
  facts_.NodesChanged();
  RestoreDraining(node.id);
  expected_nodes_.erase(node.id);
  writes_.push_back({kNodePrefix + node.id, Json(node.name).dump()});
  // What runs there comes before what is reserved there for others.
  for (const engine::AdoptedReplica& replica : replicas) Adopt(node.id, replica);
  TakeBundlesOn(node.id);
  StopThoseWithoutBundles();
  base::LogInfo("node_up", {{"node", node.name},
                            {"id", node.id},
                            {"resources", node.total.ToString()},
                            {"replicas", std::to_string(replicas.size())}});
  place_again_ = true;
  if (!node.is_head) return;
  code_hosts_.OnHeadUp(node.id);
  door_.OnHeadUp(node.id);
}

void Controller::OnNodeDown(const NodeId& node, const std::string& why) {
  const auto* known = state_.cluster.Find(node);
  if (known == nullptr || !known->alive) return;
  base::LogWarning("node_down", {{"id", node}, {"why", why}});
  std::vector<ReplicaId> lost;
  for (const auto& [id, deployment] : state_.deployments) {
    for (const Replica& replica : deployment.replicas) {
      if (replica.placed && replica.node == node) lost.push_back({id, replica.unique});
    }
  }
  for (const ReplicaId& id : lost) ForgetReplica(id, "Its node died: " + why);
  for (const auto& [id, stray] : strays_) {
    if (stray.node != node) continue;
    GiveBack(state_, stray.held);
    leaving_.Forget(id);
  }
  std::erase_if(strays_, [&](const auto& stray) { return stray.second.node == node; });
  state_.cluster.Leave(node);
  facts_.NodesChanged();
  StopThoseWithoutBundles();
  door_.OnNodeDown(node);
  code_hosts_.OnNodeDown(node);
  writes_.push_back({kNodePrefix + node, std::nullopt});
  ForgetDraining(node);
  place_again_ = true;
}

void Controller::ForgetReplica(const ReplicaId& id, const std::string& cause) {
  Deployment& deployment = state_.deployments.at(id.deployment);
  Replica* replica = deployment.Find(id.unique);
  if (replica->state != ReplicaState::kStopping) {
    base::LogWarning("replica_lost", {{"replica", id.ToString()}, {"cause", cause}});
  }
  ReleasePlace(state_, *replica);
  OnGone(deployment, id.unique, cause, ports_.clock.Now());
  leaving_.Forget(id);
  place_again_ = true;
  Touch(id.deployment);
  routes_touched_.insert(id.deployment);
  unsaved_.insert(id.deployment);  // its failures are counted
}

// A replica that nobody wants only has to end.
void Controller::OnStrayEvent(const engine::ReplicaEvent& event) {
  if (event.kind != engine::ReplicaEvent::Kind::kStopped) return;
  const auto stray = strays_.extract(event.id);
  GiveBack(state_, stray.mapped().held);
  leaving_.Forget(event.id);
  place_again_ = true;
}

void Controller::OnReplicaEvent(const engine::ReplicaEvent& event) {
  using Kind = engine::ReplicaEvent::Kind;
  if (strays_.contains(event.id)) return OnStrayEvent(event);
  const auto found = state_.deployments.find(event.id.deployment);
  if (found == state_.deployments.end()) return;
  Deployment& deployment = found->second;
  Replica* replica = deployment.Find(event.id.unique);
  if (replica == nullptr) return;
  const TimePoint now = ports_.clock.Now();
  Touch(deployment.id);
  switch (event.kind) {
    case Kind::kSpawned:
      replica->facts.update(event.facts);
      replica->since = now;
      replica->started_unix = ports_.clock.UnixSeconds();
      break;
    case Kind::kReady:
      replica->facts.update(event.facts);
      OnReady(deployment, *replica);
      routes_touched_.insert(deployment.id);
      unsaved_.insert(deployment.id);
      break;
    case Kind::kStartFailed:
      base::LogWarning("replica_start_failed",
                       {{"replica", event.id.ToString()}, {"why", event.message}});
      OnStartFailed(deployment, *replica, event.message, now);
      ports_.engine.Stop({.id = event.id, .node = replica->node});
      routes_touched_.insert(deployment.id);
      unsaved_.insert(deployment.id);
      break;
    case Kind::kReconfigured:
      if (OnReconfigured(deployment, *replica, event.message)) {
        StopReplica(deployment, event.id.unique, now);
      }
      routes_touched_.insert(deployment.id);
      break;
    case Kind::kHealthy:
      replica->facts.update(event.facts);
      OnHealthy(*replica);
      break;
    case Kind::kBusy:
      replica->facts.update(event.facts);
      base::LogWarning("replica_busy", {{"replica", event.id.ToString()},
                                        {"health", event.facts.value("health", Json()).dump()}});
      break;
    case Kind::kUnhealthy:
      base::LogWarning("health_check_failed",
                       {{"replica", event.id.ToString()}, {"why", event.message}});
      replica->facts.update(event.facts);
      if (OnUnhealthy(deployment, *replica, event.message, now)) {
        StopReplica(deployment, event.id.unique, now);
        unsaved_.insert(deployment.id);
      }
      break;
    case Kind::kStopped:
      ForgetReplica(event.id, event.message);
      break;
  }
}

}  // namespace penstock::control
