// Controller::Settle and what it does: the part of the controller that acts.
#include <algorithm>
#include <utility>

#include "base/log.h"
#include "control/controller.h"
#include "control/persist.h"
#include "control/ranks.h"
#include "control/reconcile.h"
#include "control/rollout.h"
#include "penstock/check.h"

namespace penstock::control {
namespace {

// A proxy that does not come or acknowledge a route within this is not waited for.
constexpr Duration kRouteWait = std::chrono::seconds(2);

}  // namespace

void Controller::Touch(const DeploymentId& id) {
  touched_.insert(id);
  changes_.deployments.insert(id);
  changes_.apps.insert(id.app);
}

bool Controller::Recovering() const {
  return (rebuild_ || !expected_nodes_.empty()) && ports_.clock.Now() < recovery_deadline_;
}

void Controller::Settle() {
  const TimePoint now = ports_.clock.Now();
  if (Recovering()) {
    wake_ = recovery_deadline_;
    return;
  }
  ForgetMissingNodes();
  FinishRebuild();
  NoteLostUnseen();
  std::erase_if(touched_later_, [&](const auto& entry) {
    if (entry.second > now) return false;
    Touch(entry.first);
    return true;
  });
  Compact(now);
  while (ReconcileTouched(now) || Place(now) || Autoscale(now)) {
  }
  const Changes changes = std::exchange(changes_, {});
  RefreshStatuses(changes);
  code_hosts_.Settle(state_.deployments, changes.deployments);
  PublishRoutes();
  StopAcknowledged(now);
  DropGone(changes);
  FinishShutdown();
  Save();
  AnswerWaiters(now);
  AnswerDrainWaiters();
  ComputeWake();
}

void Controller::ComputeWake() {
  wake_ = leaving_.NextDeadline();
  for (const auto& [id, when] : touched_later_) wake_ = std::min(wake_, when);
  if (Compacts()) wake_ = std::min(wake_, compaction_.NextLook(HasSettled()));
  if (!autoscale_agenda_.empty()) wake_ = std::min(wake_, autoscale_agenda_.begin()->first);
  for (const Waiter& waiter : waiters_) {
    if (waiter.epoch) wake_ = std::min(wake_, waiter.since + kRouteWait);
  }
}

bool Controller::ReconcileTouched(TimePoint now) {
  if (touched_.empty()) return false;
  const std::set<DeploymentId> touched = std::exchange(touched_, {});
  for (const DeploymentId& id : touched) facts_.Recount(state_, id);
  const NodeFacts& facts = facts_.Facts(state_);
  for (const DeploymentId& id : touched) {
    const auto found = state_.deployments.find(id);
    if (found == state_.deployments.end()) continue;
    Deployment& deployment = found->second;
    if (MaySpanNodes(deployment.target.spec)) {
      spanning_.insert(id);
    } else {
      spanning_.erase(id);
    }
    AutoscaleAt(id, now);
    Carry(deployment, Reconcile(deployment, facts, now), now);
  }
  // Afterwards: all of them went by the same facts.
  for (const DeploymentId& id : touched) facts_.Recount(state_, id);
  return true;
}

void Controller::Carry(Deployment& deployment, const Plan& plan, TimePoint now) {
  for (const std::string& unique : plan.stop) StopReplica(deployment, unique, now);
  for (const std::string& unique : plan.abort) StopReplica(deployment, unique, now, kAtOnce);
  for (const std::string& unique : plan.migrate) {
    deployment.Find(unique)->state = ReplicaState::kPendingMigration;
  }
  for (const std::string& unique : plan.stay) {
    deployment.Find(unique)->state = ReplicaState::kRunning;
  }
  if (plan.again) Touch(deployment.id);
  const int gang_size = GangSize(deployment.target.spec);
  std::string gang;
  for (int i = 0; i < plan.create; ++i) {
    Replica& replica = AddReplica(deployment, ports_.random.Name(8), now);
    if (deployment.target.spec.gang) {
      replica.gang_rank = i % gang_size;
      if (replica.gang_rank == 0) gang = ports_.random.Name(8);
      replica.gang = gang;
    }
    place_again_ = true;
    unplaced_.insert(deployment.id);
  }
  for (const std::string& unique : plan.adopt) {
    Replica& replica = *deployment.Find(unique);
    Reconfigure(deployment, replica);
  }
  for (const std::string& unique : plan.reconfigure) {
    Replica& replica = *deployment.Find(unique);
    replica.state = ReplicaState::kUpdating;
    Reconfigure(deployment, replica);
  }
  if (!plan.empty()) routes_touched_.insert(deployment.id);
  if (plan.wake != kNever) touched_later_[deployment.id] = plan.wake;
}

void Controller::Reconfigure(Deployment& deployment, Replica& replica) {
  const DeploymentSpec& spec = deployment.target.spec;
  ports_.engine.Reconfigure({.id = {deployment.id, replica.unique},
                             .node = replica.node,
                             .options = deployment.target.options,
                             .app_record = RecordOf(state_.apps.at(deployment.id.app)),
                             .max_ongoing_requests = spec.max_ongoing_requests,
                             .user_config = spec.user_config,
                             .user_config_changed = spec.user_config != replica.spec.user_config,
                             .logging = spec.logging,
                             .health_check_period_s = spec.health_check_period_s,
                             .health_check_timeout_s = spec.health_check_timeout_s,
                             .rank = replica.rank,
                             .world_size = deployment.target_replicas});
  replica.spec = spec;
}

// A replica that takes requests is unrouted first; one that never did is ended at once.
void Controller::StopReplica(Deployment& deployment, const std::string& unique, TimePoint now,
                             Grace allowed) {
  Replica* replica = deployment.Find(unique);
  if (replica == nullptr || replica->state == ReplicaState::kStopping) return;
  const bool in_service = replica->state != ReplicaState::kStarting;
  replica->state = ReplicaState::kStopping;
  routes_touched_.insert(deployment.id);
  if (!replica->placed) {
    OnGone(deployment, unique, "", now);
    return;
  }
  const Duration grace = in_service && allowed == kOfOptions
                             ? FromSeconds(replica->spec.graceful_shutdown_timeout_s)
                             : Duration::zero();
  leaving_.Begin({.id = {deployment.id, unique}, .node = replica->node, .grace = grace}, in_service,
                 now);
}

bool Controller::Place(TimePoint now) {
  if (!std::exchange(place_again_, false)) return false;
  placement::Policy policy = options_.placement;
  // Pack is off while there are bundles that may lie on several nodes (behaviour
  // specification, 4.1).
  if (!spanning_.empty()) policy.strategy = placement::Strategy::kSpread;
  const Placements placements = PlaceWaiting(state_, unplaced_, policy);
  for (const ReplicaId& id : placements.placed) {
    Deployment& deployment = state_.deployments.at(id.deployment);
    Launch(deployment, *deployment.Find(id.unique), now);
  }
  for (const auto& [id, why] : placements.impossible) {
    Deployment& deployment = state_.deployments.at(id.deployment);
    const std::string message =
        "Replica scheduling failed. Failed to create an actor for replica " + id.ToString() + ": " +
        why;
    OnStartFailed(deployment, *deployment.Find(id.unique), message, now);
    OnGone(deployment, id.unique, "", now);
    Touch(id.deployment);
    routes_touched_.insert(id.deployment);
    unsaved_.insert(id.deployment);
  }
  for (const auto& [id, why] : placements.displaced) {
    Deployment& deployment = state_.deployments.at(id.deployment);
    base::LogInfo("replica_displaced", {{"replica", id.ToString()}, {"why", why}});
    autoscaler_.Displace(deployment, why, now, ports_.clock.UnixSeconds());
    StopReplica(deployment, id.unique, now);
    unsaved_.insert(id.deployment);
    Touch(id.deployment);
  }
  // A rollout may have to make room.
  for (const ReplicaId& id : placements.refused) Touch(id.deployment);
  return !touched_.empty() || !placements.placed.empty();
}

engine::Gang Controller::GangOf(const Deployment& deployment, const Replica& replica) const {
  engine::Gang gang{.id = replica.gang, .rank = replica.gang_rank};
  for (const Replica& one : deployment.replicas) {
    if (!replica.gang.empty() && one.gang == replica.gang) gang.members.push_back(one.unique);
  }
  return gang;
}

void Controller::Launch(Deployment& deployment, Replica& replica, TimePoint now) {
  const DeploymentSpec& spec = replica.spec;
  replica.since = now;
  ports_.engine.Start({.id = {deployment.id, replica.unique},
                       .node = replica.node,
                       .allocation = replica.allocation,
                       .bundles = replica.bundles,
                       .gang = GangOf(deployment, replica),
                       .default_cpus = !spec.replica_resources.num_cpus.has_value(),
                       .code_version = replica.code_version,
                       .app_record = RecordOf(state_.apps.at(deployment.id.app)),
                       .launch = deployment.target.launch,
                       .options = deployment.target.options,
                       .runtime_env = spec.replica_resources.runtime_env,
                       .max_ongoing_requests = spec.max_ongoing_requests,
                       .user_config = spec.user_config,
                       .logging = spec.logging,
                       .health_check_period_s = spec.health_check_period_s,
                       .health_check_timeout_s = spec.health_check_timeout_s,
                       .rank = replica.rank,
                       .world_size = deployment.target_replicas});
}

void Controller::AutoscaleAt(const DeploymentId& id, TimePoint when) {
  const auto before = autoscale_at_.extract(id);
  if (!before.empty()) autoscale_agenda_.erase({before.mapped(), id});
  const auto deployment = state_.deployments.find(id);
  if (when == kNever || deployment == state_.deployments.end() ||
      !deployment->second.target.spec.autoscaling) {
    return;
  }
  // Ray Serve decides ten times a second; news in between wait for the next time.
  const auto due = autoscale_due_.find(id);
  if (due != autoscale_due_.end()) when = std::max(when, due->second);
  autoscale_at_[id] = when;
  autoscale_agenda_.emplace(when, id);
}

bool Controller::Autoscale(TimePoint now) {
  bool changed = false;
  while (!autoscale_agenda_.empty() && autoscale_agenda_.begin()->first <= now) {
    const DeploymentId id = autoscale_agenda_.begin()->second;
    Deployment& deployment = state_.deployments.at(id);
    autoscale_due_[id] = now + kAutoscalePeriod;
    const bool moved = autoscaler_.Tick(deployment, now, ports_.clock.UnixSeconds());
    AutoscaleAt(id, autoscaler_.NextTick(deployment, now));
    if (!moved) continue;
    base::LogInfo("autoscale", {{"deployment", id.ToString()},
                                {"target", std::to_string(deployment.target_replicas)}});
    Touch(id);
    unsaved_.insert(id);
    changed = true;
  }
  return changed;
}

route::RouterRoute Controller::RouterOf(const Deployment& deployment) const {
  const RequestRouterSpec& spec = deployment.target.spec.request_router;
  route::RouterRoute router{.kind = spec.kind,
                            .num_virtual_nodes = spec.num_virtual_nodes,
                            .num_fallback_replicas = spec.num_fallback_replicas,
                            .initial_backoff_s = spec.initial_backoff_s,
                            .backoff_multiplier = spec.backoff_multiplier,
                            .max_backoff_s = spec.max_backoff_s};
  if (spec.kind == RequestRouterSpec::Kind::kCustom) {
    router.socket = code_hosts_.SocketOf(deployment.id, deployment.target,
                                         engine::CodeHostOrder::Kind::kRequestRouter);
  }
  return router;
}

route::DeploymentRoute Controller::RouteOf(const Deployment& deployment) const {
  const DeploymentSpec& spec = deployment.target.spec;
  route::DeploymentRoute route{.id = deployment.id,
                               .max_ongoing_requests = spec.max_ongoing_requests,
                               .max_queued_requests = spec.max_queued_requests,
                               .backpressure = spec.backpressure,
                               .sample_period_s = SamplePeriod(spec),
                               .router = RouterOf(deployment)};
  for (const Replica& replica : deployment.replicas) {
    if (!InService(replica)) continue;
    route.replicas.push_back({replica.unique, replica.facts.value("socket", ""), replica.node});
  }
  route.available = !deployment.target.deleting && (!deployment.gave_up || !route.replicas.empty());
  return route;
}

std::vector<route::HttpRoute> Controller::HttpRoutes() const {
  std::vector<route::HttpRoute> routes;
  for (const auto& [name, app] : state_.apps) {
    if (app.deleting || !app.route_prefix) continue;
    routes.push_back({*app.route_prefix, {name, app.ingress}});
  }
  route::SortRoutes(routes);
  return routes;
}

void Controller::PublishRoutes() {
  std::vector<route::DeploymentRoute> changed;
  std::vector<DeploymentId> removed;
  for (const DeploymentId& id : std::exchange(routes_touched_, {})) {
    const auto found = state_.deployments.find(id);
    if (found == state_.deployments.end()) {
      removed.push_back(id);
    } else {
      changed.push_back(RouteOf(found->second));
    }
  }
  std::optional<std::vector<route::HttpRoute>> http;
  if (std::exchange(http_touched_, false)) http = HttpRoutes();
  book_.Set(changed, removed, http);
  book_.Open();
  leaving_.Unrouted(book_.epoch(), ports_.clock.Now());
}

void Controller::StopAcknowledged(TimePoint now) {
  for (const engine::StopOrder& order : leaving_.Ready(book_, now)) ports_.engine.Stop(order);
}

// Deployments that are to go and have nothing left, and applications without deployments.
void Controller::DropGone(const Changes& changes) {
  for (const DeploymentId& id : changes.deployments) {
    const auto found = state_.deployments.find(id);
    if (found == state_.deployments.end()) continue;
    if (!found->second.target.deleting || !found->second.replicas.empty()) continue;
    state_.deployments.erase(found);
    writes_.push_back(ForgetDeployment(id));
    unsaved_.erase(id);
    unplaced_.erase(id);
    unsettled_.erase(id);
    spanning_.erase(id);
    facts_.Recount(state_, id);
    autoscaler_.ForgetDeployment(id);
    AutoscaleAt(id, kNever);
    autoscale_due_.erase(id);
    routes_touched_.insert(id);
  }
  for (const std::string& name : changes.apps) {
    const auto app = state_.apps.find(name);
    if (app == state_.apps.end() || !app->second.deleting) continue;
    const auto first = state_.deployments.lower_bound({name, ""});
    if (first != state_.deployments.end() && first->first.app == name) continue;
    state_.apps.erase(app);
    writes_.push_back(ForgetApp(name));
  }
  PublishRoutes();
}

// The last step: the proxy, once no application is left.
void Controller::FinishShutdown() {
  if (shutdown_ != ShutdownStep::kApps || !state_.apps.empty()) return;
  shutdown_ = ShutdownStep::kProxy;
  door_.Close([this] {
    shutdown_ = ShutdownStep::kNone;
    writes_.push_back(RememberShutdown(false));
    ForgetNotice();
    PENSTOCK_CHECK(SetLogging(nullptr).ok());
    AnswerWaiters(ports_.clock.Now());
    for (LateStart& start : std::exchange(late_starts_, {})) {
      door_.Open(start.options, std::move(start.done));
    }
  });
}

void Controller::RefreshStatuses(const Changes& changes) {
  for (const DeploymentId& id : changes.deployments) {
    const auto deployment = state_.deployments.find(id);
    unsettled_.erase(id);
    if (deployment == state_.deployments.end()) continue;
    if (RefreshStatus(deployment->second)) {
      routes_touched_.insert(id);
      unsaved_.insert(id);
    }
    if (!IsSettled(deployment->second)) unsettled_.insert(id);
    for (const NewRank& change : CloseGaps(deployment->second)) {
      Replica& replica = *deployment->second.Find(change.unique);
      replica.rank = change.rank;
      Reconfigure(deployment->second, replica);
    }
  }
  for (const std::string& name : changes.apps) {
    const auto changed = state_.apps.find(name);
    if (changed == state_.apps.end()) continue;
    App& app = changed->second;
    std::vector<NamedStatus> statuses;
    for (const std::string& deployment : app.deployments) {
      const auto found = state_.deployments.find({name, deployment});
      if (found != state_.deployments.end()) statuses.push_back({deployment, found->second.status});
    }
    app.status = DeriveAppStatus(statuses, app.deleting);
  }
}

// A commit that fails does not stop the controller: what runs goes on, and the log says that a
// restart would forget.
void Controller::Save() {
  for (const DeploymentId& id : std::exchange(unsaved_, {})) {
    const auto found = state_.deployments.find(id);
    if (found != state_.deployments.end()) writes_.push_back(Remember(found->second));
  }
  if (writes_.empty()) return;
  if (Status bad = ports_.store.Commit(std::exchange(writes_, {})); !bad.ok()) {
    base::LogError("state_not_saved", {{"why", bad.message()}});
  }
}

bool Controller::Answer(Waiter& waiter, TimePoint now) {
  const auto found = state_.apps.find(waiter.app);
  const bool all_gone = state_.apps.empty() && shutdown_ == ShutdownStep::kNone;
  const bool gone = waiter.app.empty() ? all_gone : found == state_.apps.end();
  if (!waiter.running) {
    if (gone) waiter.done({});
    return gone;
  }
  if (gone || found->second.deleting) {
    waiter.done(Status(Code::kNotFound, "Application '" + waiter.app + "' was deleted."));
    return true;
  }
  const AppStatusInfo& status = found->second.status;
  if (status.status == AppStatus::kDeployFailed) {
    waiter.done(Status(Code::kFailedPrecondition, "Deploying application " + waiter.app +
                                                      " failed: " + FailureOf(found->second)));
    return true;
  }
  if (status.status != AppStatus::kRunning) return false;
  if (!waiter.epoch) {
    waiter.epoch = book_.epoch();
    waiter.since = now;
  }
  const bool known = !door_.Awaited() && book_.ProxiesAcknowledged(*waiter.epoch);
  if (!known && now < waiter.since + kRouteWait) return false;
  waiter.done({});
  return true;
}

// The application's message, and what its failed deployments say.
std::string Controller::FailureOf(const App& app) const {
  std::string text = app.status.message;
  for (const std::string& name : app.deployments) {
    const auto found = state_.deployments.find({app.name, name});
    if (found == state_.deployments.end()) continue;
    const StatusInfo& status = found->second.status;
    if (status.status == DeploymentStatus::kDeployFailed)
      text += "\n" + name + ": " + status.message;
  }
  return text;
}

void Controller::AnswerWaiters(TimePoint now) {
  // A callback may add waiters; those are looked at next time.
  auto waiters = std::exchange(waiters_, {});
  std::erase_if(waiters, [&](Waiter& waiter) { return Answer(waiter, now); });
  waiters_.insert(waiters_.begin(), std::make_move_iterator(waiters.begin()),
                  std::make_move_iterator(waiters.end()));
}

}  // namespace penstock::control
