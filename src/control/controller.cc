#include "control/controller.h"

#include <algorithm>
#include <utility>

#include "base/log.h"
#include "config/deployment_options.h"
#include "config/nested_options.h"
#include "control/persist.h"

namespace penstock::control {
namespace {

using Json = nlohmann::json;

constexpr const char* kNodePrefix = "node/";
constexpr const char* kLogging = "setting/logging";

}  // namespace

Controller::Controller(Ports ports, ControllerOptions options)
    : ports_(ports),
      options_(std::move(options)),
      book_(ports.publisher),
      door_(ports.engine,
            [this](const Write& write) {
              writes_.push_back(write);
              Save();
            }),
      router_hosts_(ports.engine, options_.sockets) {
  ports_.engine.SetListener(*this);
}

Status Controller::Recover() {
  auto values = ports_.store.Load();
  if (!values.ok()) return values.status();
  for (const Status& bad : {Restore(*values, state_), door_.Restore(*values)}) {
    if (!bad.ok()) return bad;
  }
  if (RemembersShutdown(*values)) shutdown_ = ShutdownStep::kApps;
  if (const auto found = values->find(kLogging); found != values->end()) {
    logging_ = Json::parse(found->second, nullptr, /*allow_exceptions=*/false);
    if (Status bad = config::ParseLogging(logging_).status(); !bad.ok()) return bad;
  }
  for (const auto& [key, value] : *values) {
    if (key.starts_with(kNodePrefix))
      expected_nodes_.insert(key.substr(std::string(kNodePrefix).size()));
  }
  for (const auto& [id, deployment] : state_.deployments) {
    Touch(id);
    routes_touched_.insert(id);
  }
  http_touched_ = true;
  recovery_deadline_ = ports_.clock.Now() + options_.recovery_wait;
  return {};
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
    Touch(id);
    unsaved_.insert(id);
    routes_touched_.insert(id);
  }
  writes_.push_back(Remember(app));
  http_touched_ = true;
  base::LogInfo("deploy",
                {{"app", app.name}, {"deployments", std::to_string(app.deployments.size())}});
  RefreshStatuses();
  Save();
  return {};
}

void Controller::Delete(const std::string& name) {
  const auto found = state_.apps.find(name);
  if (found == state_.apps.end()) return;
  found->second.deleting = true;
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
  if (!name.empty()) autoscaler_.ForgetRouter(name.mapped());
}

void Controller::OnLoad(const LoadReport& report) { autoscaler_.Note(report, ports_.clock.Now()); }

// ---- what the engine says -------------------------------------------------------------------

void Controller::OnNodeUp(const resources::NodeSpec& node,
                          const std::vector<engine::AdoptedReplica>& replicas) {
  OnNodeDown(node.id, "it joined anew");  // of no effect unless it is thought to be alive
  state_.cluster.Join(node);
  expected_nodes_.erase(node.id);
  writes_.push_back({kNodePrefix + node.id, Json(node.name).dump()});
  for (const engine::AdoptedReplica& replica : replicas) Adopt(node.id, replica);
  base::LogInfo("node_up", {{"node", node.name},
                            {"id", node.id},
                            {"resources", node.total.ToString()},
                            {"replicas", std::to_string(replicas.size())}});
  place_again_ = true;
  if (!node.is_head) return;
  router_hosts_.OnHeadUp(node.id);
  door_.OnHeadUp(node.id);
}

void Controller::Adopt(const NodeId& node, const engine::AdoptedReplica& adopted) {
  const engine::StartOrder& order = adopted.order;
  state_.cluster.Find(node)->resources.Take(order.allocation);
  const auto found = state_.deployments.find(order.id.deployment);
  const auto spec = config::SpecFromOptions(order.id.deployment.name, order.options);
  const bool known = found != state_.deployments.end() && spec.ok();
  if (known) {
    Resume(found->second, node, adopted, *spec);
  } else {
    strays_[order.id] = {node, order.allocation};
  }
  // One that drains has been given its time; what failed to start or is nobody's has none.
  const bool drains = adopted.stopping && adopted.ready;
  if ((adopted.stopping || !known) && !drains) ports_.engine.Stop({.id = order.id, .node = node});
}

void Controller::Resume(Deployment& deployment, const NodeId& node,
                        const engine::AdoptedReplica& adopted, const DeploymentSpec& spec) {
  const engine::StartOrder& order = adopted.order;
  ReplicaState state = adopted.ready ? ReplicaState::kRunning : ReplicaState::kStarting;
  if (adopted.stopping) state = ReplicaState::kStopping;
  deployment.replicas.push_back({.unique = order.id.unique,
                                 .state = state,
                                 .code_version = order.code_version,
                                 .spec = spec,
                                 .rank = order.rank,
                                 .placed = true,
                                 .node = node,
                                 .allocation = order.allocation,
                                 .since = ports_.clock.Now(),
                                 .started_unix = ports_.clock.UnixSeconds(),
                                 .facts = adopted.facts});
  const Replica& replica = deployment.replicas.back();
  if (adopted.ready && MatchVersion(replica, deployment.target) != VersionMatch::kOld) {
    deployment.target_started = true;
  }
  Touch(deployment.id);
  routes_touched_.insert(deployment.id);
}

// Those that did not come back in time are not waited for again.
void Controller::ForgetMissingNodes() {
  for (const NodeId& missing : std::exchange(expected_nodes_, {})) {
    writes_.push_back({kNodePrefix + missing, std::nullopt});
  }
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
  std::erase_if(strays_, [&](const auto& stray) { return stray.second.node == node; });
  state_.cluster.Leave(node);
  door_.OnNodeDown(node);
  router_hosts_.OnNodeDown(node);
  writes_.push_back({kNodePrefix + node, std::nullopt});
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
  if (auto* node = state_.cluster.Find(stray.mapped().node)) {
    node->resources.GiveBack(stray.mapped().allocation);
  }
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
      OnHealthy(*replica);
      break;
    case Kind::kUnhealthy:
      base::LogWarning("health_check_failed",
                       {{"replica", event.id.ToString()}, {"why", event.message}});
      if (OnUnhealthy(deployment, *replica, now)) {
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
