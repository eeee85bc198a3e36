// Controller: nodes that drain, and bundles on several of them.
#include <iterator>
#include <utility>

#include "base/log.h"
#include "control/controller.h"

namespace penstock::control {
namespace {

using Json = nlohmann::json;

constexpr const char* kDrainPrefix = "drain/";

}  // namespace

// By id, or by name when one that is alive has it.
Result<placement::ClusterNode*> Controller::NodeNamed(const std::string& name) {
  std::string alive;
  for (const placement::ClusterNode& node : state_.cluster.nodes()) {
    const auto& spec = node.resources.spec();
    if (node.alive && (spec.id == name || spec.name == name)) return state_.cluster.Find(spec.id);
    if (node.alive) alive += (alive.empty() ? "" : ", ") + ("'" + spec.name + "'");
  }
  return Status(Code::kNotFound,
                "node: there is no '" + name + "', nodes are " + (alive.empty() ? "none" : alive));
}

Status Controller::Drain(const std::string& name, std::optional<Duration> within) {
  auto node = NodeNamed(name);
  if (!node.ok()) return node.status();
  if (within && *within < Duration::zero()) {
    return InvalidArgument("deadline_s: must not be negative");
  }
  const NodeId id = (*node)->resources.spec().id;
  std::optional<double> deadline_unix;
  if (within) deadline_unix = ports_.clock.UnixSeconds() + ToSeconds(*within);
  drains_[id] = deadline_unix;
  compaction_.Forget(id);
  writes_.push_back({kDrainPrefix + id, Json(deadline_unix.value_or(0)).dump()});
  SetDraining(id, true, within ? ports_.clock.Now() + *within : kNever);
  base::LogInfo("node_draining", {{"node", (*node)->resources.spec().name}, {"id", id}});
  Save();
  return {};
}

Status Controller::Undrain(const std::string& name) {
  auto node = NodeNamed(name);
  if (!node.ok()) return node.status();
  const NodeId id = (*node)->resources.spec().id;
  drains_.erase(id);
  writes_.push_back({kDrainPrefix + id, std::nullopt});
  SetDraining(id, false, kNever);
  base::LogInfo("node_in_use_again", {{"node", (*node)->resources.spec().name}, {"id", id}});
  Save();
  return {};
}

void Controller::WaitDrained(const std::string& name, std::function<void(Status)> done) {
  auto node = NodeNamed(name);
  if (!node.ok()) return done(node.status());
  drain_waiters_.push_back({(*node)->resources.spec().id, std::move(done)});
}

// A node that died is empty too; one that is in use again never gets there.
void Controller::AnswerDrainWaiters() {
  auto waiters = std::exchange(drain_waiters_, {});
  std::erase_if(waiters, [&](const DrainWaiter& waiter) {
    const placement::ClusterNode* node = state_.cluster.Find(waiter.node);
    const bool gone = node == nullptr || !node->alive;
    if (!gone && !node->draining) {
      waiter.done(Status(Code::kFailedPrecondition, "The node is in use again."));
      return true;
    }
    if (!gone && node->resources.allocations() > 0) return false;
    waiter.done({});
    return true;
  });
  drain_waiters_.insert(drain_waiters_.begin(), std::make_move_iterator(waiters.begin()),
                        std::make_move_iterator(waiters.end()));
}

bool Controller::Compacts() const {
  return options_.placement.strategy == placement::Strategy::kPack && spanning_.empty();
}

bool Controller::HasSettled() const {
  return unsettled_.empty() && shutdown_ == ShutdownStep::kNone;
}

// One that is compacted while the controller restarts is not remembered: it takes replicas again.
void Controller::Compact(TimePoint now) {
  if (!Compacts()) return;
  const auto step = compaction_.Next(state_, HasSettled(), options_.placement, now);
  if (step.end) {
    base::LogInfo("compaction_ends", {{"node", *step.end}});
    SetDraining(*step.end, false, kNever);
  }
  if (step.begin) {
    base::LogInfo("compaction_begins", {{"node", *step.begin}});
    SetDraining(*step.begin, true, kNever);
  }
}

void Controller::SetDraining(const NodeId& id, bool draining, TimePoint deadline) {
  placement::ClusterNode* node = state_.cluster.Find(id);
  node->draining = draining;
  node->drain_deadline = deadline;
  facts_.NodesChanged();
  for (const auto& [deployment_id, deployment] : state_.deployments) Touch(deployment_id);
  place_again_ = true;
}

Status Controller::RecoverDraining(const std::map<std::string, std::string>& values) {
  for (auto it = values.lower_bound(kDrainPrefix);
       it != values.end() && it->first.starts_with(kDrainPrefix); ++it) {
    const Json deadline = Json::parse(it->second, nullptr, /*allow_exceptions=*/false);
    if (!deadline.is_number()) {
      return Internal("state database, key '" + it->first + "': a number is expected");
    }
    const double unix_s = deadline;
    drains_[it->first.substr(std::string(kDrainPrefix).size())] =
        unix_s > 0 ? std::optional(unix_s) : std::nullopt;
  }
  return {};
}

// A node that drained when the controller before knew it goes on draining.
void Controller::RestoreDraining(const NodeId& id) {
  const auto drain = drains_.find(id);
  if (drain == drains_.end()) return;
  writes_.push_back({kDrainPrefix + id, Json(drain->second.value_or(0)).dump()});
  TimePoint deadline = kNever;
  if (drain->second) {
    deadline = ports_.clock.Now() + FromSeconds(*drain->second - ports_.clock.UnixSeconds());
  }
  SetDraining(id, true, deadline);
}

void Controller::ForgetDraining(const NodeId& id) {
  if (drains_.erase(id) > 0) writes_.push_back({kDrainPrefix + id, std::nullopt});
}

// A replica that lost a bundle is replaced: a group is placed as a whole or not at all.
void Controller::Cut(Deployment& deployment, const std::string& unique, const std::string& cause) {
  const TimePoint now = ports_.clock.Now();
  OnPlaceLost(deployment, *deployment.Find(unique), cause, now);
  StopReplica(deployment, unique, now);
  Touch(deployment.id);
  unsaved_.insert(deployment.id);
}

// What runs on other nodes may hold bundles on one that has just come: the controller is new.
void Controller::TakeBundlesOn(const NodeId& node) {
  // Keeps those that are elsewhere or could be taken.
  const auto take = [&](std::vector<resources::Reservation>& held) {
    const auto lost = std::erase_if(held, [&](const resources::Reservation& bundle) {
      return bundle.node == node && TakeFree(state_, {bundle}).empty();
    });
    return lost == 0;
  };
  for (auto& [id, deployment] : state_.deployments) {
    std::vector<std::string> cut;
    for (Replica& replica : deployment.replicas) {
      if (replica.node != node && !take(replica.bundles)) cut.push_back(replica.unique);
    }
    for (const std::string& unique : cut) {
      Cut(deployment, unique, "One of its bundles was given to others.");
    }
  }
  for (auto& [id, stray] : strays_) {
    if (stray.node != node) take(stray.held);
  }
}

// Nodes that may still come back are waited for.
void Controller::StopThoseWithoutBundles() {
  const bool recovering = Recovering();
  for (auto& [id, deployment] : state_.deployments) {
    std::vector<std::string> cut;
    for (Replica& replica : deployment.replicas) {
      const auto lost = std::erase_if(replica.bundles, [&](const resources::Reservation& bundle) {
        const auto* node = state_.cluster.Find(bundle.node);
        const bool alive = node != nullptr && node->alive;
        return !alive && !(recovering && expected_nodes_.contains(bundle.node));
      });
      if (lost > 0) cut.push_back(replica.unique);
    }
    for (const std::string& unique : cut) {
      Cut(deployment, unique, "The node of one of its bundles died.");
    }
  }
}

}  // namespace penstock::control
