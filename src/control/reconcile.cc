#include "control/reconcile.h"

#include <algorithm>
#include <cmath>

#include "control/rollout.h"

namespace penstock::control {
namespace {

bool Running(const Replica& replica) {
  return replica.state == ReplicaState::kRunning || replica.state == ReplicaState::kUpdating;
}

RolloutCounts Count(const Deployment& deployment) {
  RolloutCounts counts{.target = deployment.target_replicas};
  for (const Replica& replica : deployment.replicas) {
    const bool old = MatchVersion(replica, deployment.target) == VersionMatch::kOld;
    if (old && Running(replica)) ++counts.old_running;
    if (old && replica.state == ReplicaState::kStopping) ++counts.old_stopping;
    if (!old && Running(replica)) ++counts.new_running;
  }
  return counts;
}

// Old replicas that are not in service yet go at once; of those in service a wave, the newest
// first, as in every scale-down.
void PlanRollout(const Deployment& deployment, const NodeFacts& nodes, Plan& plan) {
  std::vector<std::string> current;
  for (const Replica& replica : deployment.replicas) {
    const bool old = MatchVersion(replica, deployment.target) == VersionMatch::kOld;
    if (!old) current.push_back(replica.unique);
    if (old && replica.state == ReplicaState::kStarting) plan.stop.push_back(replica.unique);
  }
  const int wave =
      OldReplicasToStop(Count(deployment), deployment.target.spec.rolling_update_percentage);
  std::vector<std::string> spared = current;
  spared.insert(spared.end(), plan.stop.begin(), plan.stop.end());
  for (std::string& victim : ChooseVictims(deployment, wave, nodes, spared)) {
    plan.stop.push_back(std::move(victim));
  }
}

void PlanCount(const Deployment& deployment, const NodeFacts& nodes, TimePoint now, Plan& plan) {
  int staying = -static_cast<int>(plan.stop.size());
  for (const Replica& replica : deployment.replicas) {
    if (replica.state != ReplicaState::kStopping) ++staying;
  }
  const int missing = deployment.target_replicas - staying;
  if (missing < 0) {
    for (std::string& victim : ChooseVictims(deployment, -missing, nodes, plan.stop)) {
      plan.stop.push_back(std::move(victim));
    }
  } else if (missing > 0 && !deployment.gave_up) {
    if (now >= deployment.retry_at) {
      plan.create = missing;
    } else {
      plan.wake = deployment.retry_at;
    }
  }
}

// In waves of the same size as a rollout's, so that not all replicas pause at once.
void PlanReconfigure(const Deployment& deployment, Plan& plan) {
  const double share = deployment.target.spec.rolling_update_percentage;
  int budget = std::max(static_cast<int>(std::floor(share * deployment.target_replicas)), 1);
  for (const Replica& replica : deployment.replicas) {
    if (replica.state == ReplicaState::kUpdating) --budget;
  }
  for (const Replica& replica : deployment.replicas) {
    if (replica.state != ReplicaState::kRunning) continue;
    if (std::find(plan.stop.begin(), plan.stop.end(), replica.unique) != plan.stop.end()) continue;
    const VersionMatch match = MatchVersion(replica, deployment.target);
    if (match == VersionMatch::kInPlace) plan.adopt.push_back(replica.unique);
    if (match == VersionMatch::kReconfigure && budget-- > 0) {
      plan.reconfigure.push_back(replica.unique);
    }
  }
}

}  // namespace

Plan Reconcile(const Deployment& deployment, const NodeFacts& nodes, TimePoint now) {
  Plan plan;
  // After a failed rollout the old version stays as it is.
  if (!deployment.gave_up) PlanRollout(deployment, nodes, plan);
  PlanCount(deployment, nodes, now, plan);
  PlanReconfigure(deployment, plan);
  return plan;
}

bool RefreshStatus(Deployment& deployment) {
  int at_target = 0;
  for (const Replica& replica : deployment.replicas) {
    if (replica.state != ReplicaState::kRunning) return false;
    const VersionMatch match = MatchVersion(replica, deployment.target);
    if (match != VersionMatch::kCurrent) return false;
    ++at_target;
  }
  if (at_target != deployment.target_replicas || deployment.target.deleting) return false;
  const StatusInfo next = NextStatus(deployment.status, StatusEvent::kHealthy);
  const bool changed =
      next != deployment.status || deployment.start_failures > 0 || deployment.gave_up;
  deployment.start_failures = 0;
  deployment.gave_up = false;
  deployment.stalled_told = false;
  deployment.status = next;
  return changed;
}

}  // namespace penstock::control
