// Controller: what a new one takes over, from the store and from what runs.
#include <utility>

#include "base/log.h"
#include "config/deployment_options.h"
#include "config/nested_options.h"
#include "control/controller.h"
#include "control/persist.h"

namespace penstock::control {
namespace {

using Json = nlohmann::json;

constexpr const char* kNotice = "setting/notice";

}  // namespace

Status Controller::Recover() {
  auto values = ports_.store.Load();
  if (!values.ok()) return values.status();
  for (const Status& bad :
       {Restore(*values, state_), door_.Restore(*values), RecoverDraining(*values)}) {
    if (!bad.ok()) return bad;
  }
  if (RemembersShutdown(*values)) shutdown_ = ShutdownStep::kApps;
  if (const auto found = values->find(kLogging); found != values->end()) {
    logging_ = Json::parse(found->second, nullptr, /*allow_exceptions=*/false);
    if (Status bad = config::ParseLogging(logging_).status(); !bad.ok()) return bad;
  }
  if (const auto found = values->find(kNotice); found != values->end()) {
    const Json notice = Json::parse(found->second, nullptr, /*allow_exceptions=*/false);
    if (!notice.is_string()) {
      return Internal(std::string("state database, key '") + kNotice + "': a text is expected");
    }
    notice_ = notice;
  }
  if (!options_.store_lost.empty()) rebuild_.emplace();
  for (const auto& [key, value] : *values) {
    if (key.starts_with(kNodePrefix))
      expected_nodes_.insert(key.substr(std::string(kNodePrefix).size()));
  }
  for (const auto& [name, app] : state_.apps) changes_.apps.insert(name);
  for (const auto& [id, deployment] : state_.deployments) {
    Touch(id);
    routes_touched_.insert(id);
  }
  http_touched_ = true;
  recovery_deadline_ = ports_.clock.Now() + options_.recovery_wait;
  return {};
}

void Controller::Adopt(const NodeId& node, const engine::AdoptedReplica& adopted) {
  const engine::StartOrder& order = adopted.order;
  const std::vector<resources::Reservation> given =
      order.bundles.empty() ? std::vector<resources::Reservation>{{node, order.allocation}}
                            : order.bundles;
  const std::vector<resources::Reservation> held = TakeFree(state_, given);
  if (rebuild_ && !adopted.stopping) rebuild_->Add(state_, order);
  const auto found = state_.deployments.find(order.id.deployment);
  const auto spec = config::SpecFromOptions(order.id.deployment.name, order.options);
  const bool known = found != state_.deployments.end() && spec.ok();
  if (known) {
    Resume(found->second, node, adopted, *spec);
    if (held.size() < given.size()) {
      found->second.replicas.back().bundles = held;
      Cut(found->second, order.id.unique, "One of its bundles was given to others.");
    }
  } else {
    strays_[order.id] = {node, held};
  }
  const bool serves = adopted.ready && !adopted.stopping;
  if (serves && !known) {  // routers may know it still
    const double grace_s = spec.ok() ? spec->graceful_shutdown_timeout_s : 0;
    leaving_.Begin({.id = order.id, .node = node, .grace = FromSeconds(grace_s)}, /*routed=*/true,
                   ports_.clock.Now());
  }
  // One that drains has been given its time; what failed to start or is nobody's has none.
  const bool starts = !adopted.ready && (adopted.stopping || !known);
  if (starts) ports_.engine.Stop({.id = order.id, .node = node});
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
                                 .bundles = order.bundles,
                                 .gang = order.gang.id,
                                 .gang_rank = order.gang.rank,
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
  if (expected_nodes_.empty()) return;
  for (const NodeId& missing : std::exchange(expected_nodes_, {})) {
    writes_.push_back({kNodePrefix + missing, std::nullopt});
    ForgetDraining(missing);
  }
  StopThoseWithoutBundles();
}

void Controller::OnProxyRuns(const NodeId& node, const engine::ProxyOrder& proxy) {
  if (!rebuild_) return;
  base::LogInfo("proxy_found", {{"node", node}});
  door_.OnFound({.http = proxy.options, .grpc = proxy.grpc_options});
}

// What runs has been heard: from here on it is desired state like any other.
void Controller::FinishRebuild() {
  if (!rebuild_) return;
  notice_ = "The state database was lost: " + options_.store_lost +
            " Applications are as their running replicas told.";
  for (const DeploymentId& lost : rebuild_->Finish(state_)) {
    notice_ += " No replica told of " + lost.ToString() + ".";
  }
  rebuild_.reset();
  base::LogError("state_rebuilt", {{"notice", notice_}});
  writes_.push_back({kNotice, Json(notice_).dump(-1, ' ', false, Json::error_handler_t::replace)});
  for (const auto& [name, app] : state_.apps) {
    changes_.apps.insert(name);
    writes_.push_back(Remember(app));
  }
  for (const auto& [id, deployment] : state_.deployments) {
    unsaved_.insert(id);
    Touch(id);
    routes_touched_.insert(id);
  }
  http_touched_ = true;
}

void Controller::ForgetNotice() {
  if (std::exchange(notice_, "").empty()) return;
  writes_.push_back({kNotice, std::nullopt});
}

// Replicas that a deploy leaves as they are still carry what their application was.
void Controller::TellRecord(const App& app) {
  for (const std::string& name : app.deployments) {
    const auto found = state_.deployments.find({app.name, name});
    if (found == state_.deployments.end()) continue;
    for (Replica& replica : found->second.replicas) {
      const bool same = MatchVersion(replica, found->second.target) == VersionMatch::kCurrent;
      if (same && replica.state == ReplicaState::kRunning) Reconfigure(found->second, replica);
    }
  }
}

// Once, when all nodes that come back have.
void Controller::NoteLostUnseen() {
  if (std::exchange(took_over_, true)) return;
  for (auto& [id, deployment] : state_.deployments) {
    if (!OnLostUnseen(deployment)) continue;
    Touch(id);
    unsaved_.insert(id);
  }
}

}  // namespace penstock::control
