#include "control/reconcile.h"

#include <algorithm>
#include <iterator>
#include <map>

#include "control/migration.h"
#include "control/rollout.h"
#include "placement/place.h"

namespace penstock::control {
namespace {

bool Running(const Replica& replica) {
  return replica.state == ReplicaState::kRunning || replica.state == ReplicaState::kUpdating;
}

RolloutCounts Count(const Deployment& deployment) {
  RolloutCounts counts{.target = deployment.target_replicas};
  for (const Replica& replica : deployment.replicas) {
    const bool old = MatchVersion(replica, deployment.target) == VersionMatch::kOld;
    if (old && Running(replica)) {
      ++counts.old_running;
      counts.old_gang = std::max(counts.old_gang, GangSize(replica.spec));
    }
    if (old && replica.state == ReplicaState::kStopping) ++counts.old_stopping;
    if (!old && Running(replica)) ++counts.new_running;
    if (old || replica.state != ReplicaState::kStarting) continue;
    ++counts.new_starting;
    if (!replica.placed && replica.pending_code == placement::kFitsLater) ++counts.new_refused;
  }
  return counts;
}

bool Goes(const Replica& replica, const Plan& plan) {
  return replica.state == ReplicaState::kStopping ||
         std::find(plan.stop.begin(), plan.stop.end(), replica.unique) != plan.stop.end();
}

// Members of gangs that are not whole any more. They cannot do without the one that is gone.
std::vector<std::string> BrokenGangs(const Deployment& deployment) {
  std::map<std::string, std::vector<std::string>> gangs;
  std::vector<std::string> broken;
  for (const Replica& replica : deployment.replicas) {
    const bool stays = replica.state != ReplicaState::kStopping;
    if (stays && !replica.gang.empty()) gangs[replica.gang].push_back(replica.unique);
  }
  for (const Replica& replica : deployment.replicas) {
    const auto gang = gangs.find(replica.gang);
    if (gang == gangs.end()) continue;
    const int size = GangSize(replica.spec);
    if (static_cast<int>(gang->second.size()) < size) {
      broken.insert(broken.end(), gang->second.begin(), gang->second.end());
    }
    gangs.erase(gang);
  }
  return broken;
}

// True when no member of its gang is in service.
bool NoneServes(const Deployment& deployment, const Replica& one) {
  return one.gang.empty() ||
         std::none_of(deployment.replicas.begin(), deployment.replicas.end(),
                      [&](const Replica& r) { return r.gang == one.gang && Running(r); });
}

void Stop(std::vector<std::string> victims, Plan& plan) {
  plan.stop.insert(plan.stop.end(), std::make_move_iterator(victims.begin()),
                   std::make_move_iterator(victims.end()));
}

// Old replicas that are not in service yet go at once; of those in service a wave, the newest
// first, as in every scale-down. Returns how many of these.
int StopOld(const Deployment& deployment, const RolloutCounts& counts, const NodeFacts& nodes,
            Plan& plan) {
  std::vector<std::string> spared;
  for (const Replica& replica : deployment.replicas) {
    const bool old = MatchVersion(replica, deployment.target) == VersionMatch::kOld;
    if (Goes(replica, plan)) continue;
    if (old && replica.state == ReplicaState::kStarting && NoneServes(deployment, replica)) {
      plan.stop.push_back(replica.unique);
    }
    if (!old) spared.push_back(replica.unique);
  }
  spared.insert(spared.end(), plan.stop.begin(), plan.stop.end());
  const int wave = OldReplicasToStop(counts, deployment.target.spec);
  std::vector<std::string> victims = ChooseVictims(deployment, wave, nodes, spared);
  const int stopped = static_cast<int>(victims.size());
  Stop(std::move(victims), plan);
  return stopped;
}

void Start(const Deployment& deployment, int count, TimePoint now, Plan& plan) {
  if (count <= 0) return;
  if (now >= deployment.retry_at) {
    plan.create = count;
  } else {
    plan.wake = std::min(plan.wake, deployment.retry_at);
  }
}

// Those that run the target version.
std::vector<std::string> NewOnes(const Deployment& deployment) {
  std::vector<std::string> ones;
  for (const Replica& replica : deployment.replicas) {
    const bool old = MatchVersion(replica, deployment.target) == VersionMatch::kOld;
    if (!old && Running(replica)) ones.push_back(replica.unique);
  }
  return ones;
}

// `allowed` replicas may be there; those that stop count no more. Where enough of the target
// version serve, old ones go before them: a node that was given up came back with those.
void StopExcess(const Deployment& deployment, int allowed, const NodeFacts& nodes, Plan& plan) {
  const auto excess = [&] {
    int staying = 0;
    for (const Replica& replica : deployment.replicas) {
      if (Goes(replica, plan)) continue;
      if (replica.state != ReplicaState::kPendingMigration) ++staying;
    }
    return staying - allowed;
  };
  std::vector<std::string> spared = NewOnes(deployment);
  if (excess() > 0 && static_cast<int>(spared.size()) >= deployment.target_replicas) {
    spared.insert(spared.end(), plan.stop.begin(), plan.stop.end());
    Stop(ChooseVictims(deployment, excess(), nodes, spared), plan);
  }
  if (excess() > 0) Stop(ChooseVictims(deployment, excess(), nodes, plan.stop), plan);
}

void PlanCount(const Deployment& deployment, RolloutCounts counts, const NodeFacts& nodes,
               TimePoint now, Plan& plan) {
  const DeploymentSpec& spec = deployment.target.spec;
  // After a failed rollout the old version stays as it is.
  if (deployment.gave_up) return StopExcess(deployment, counts.target, nodes, plan);
  counts.old_running -= StopOld(deployment, counts, nodes, plan);
  StopExcess(deployment, counts.target + Surge(counts, spec), nodes, plan);
  Start(deployment, NewReplicasToStart(counts, spec), now, plan);
}

// In waves of the same size as a rollout's, so that not all replicas pause at once.
void PlanReconfigure(const Deployment& deployment, Plan& plan) {
  int budget = WaveSize(deployment.target_replicas, deployment.target.spec);
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
  plan.abort = BrokenGangs(deployment);
  Migration migration = PlanMigration(deployment, nodes, now);
  plan.migrate = std::move(migration.begin);
  plan.stay = std::move(migration.back);
  plan.again = !plan.abort.empty() || !plan.migrate.empty() || !plan.stay.empty();
  if (plan.again) return plan;  // the rest once that is done
  plan.stop = std::move(migration.stop);
  plan.wake = migration.wake;
  const RolloutCounts counts = Count(deployment);
  PlanCount(deployment, counts, nodes, now, plan);
  // With a surge those that only need to be told wait for the restarts to end.
  if (Surge(counts, deployment.target.spec) == 0 || deployment.gave_up) {
    PlanReconfigure(deployment, plan);
  }
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

bool OnLostUnseen(Deployment& deployment) {
  const std::vector<std::string> broken = BrokenGangs(deployment);
  int serving = 0;
  for (const Replica& replica : deployment.replicas) {
    const bool old = MatchVersion(replica, deployment.target) == VersionMatch::kOld;
    const bool alone = std::find(broken.begin(), broken.end(), replica.unique) != broken.end();
    if (InService(replica) && !old && !alone) ++serving;
  }
  const int lost = deployment.target_replicas - serving;
  if (deployment.status.status != DeploymentStatus::kHealthy || lost <= 0) return false;
  deployment.status = NextStatus(deployment.status, StatusEvent::kHealthCheckFailed,
                                 HealthCheckFailedMessage() + " " + std::to_string(lost) +
                                     " of its replicas ended while no controller ran.");
  return true;
}

}  // namespace penstock::control
