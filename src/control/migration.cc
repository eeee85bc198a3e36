#include "control/migration.h"

#include <algorithm>
#include <map>
#include <set>

namespace penstock::control {
namespace {

// Whether a replica has to leave, and when its first node goes.
struct Leave {
  bool has_to = false;
  TimePoint deadline = kNever;

  void Join(const Leave& other) {
    if (!other.has_to) return;
    has_to = true;
    deadline = std::min(deadline, other.deadline);
  }
};

Leave LeaveOf(const Replica& replica, const NodeFacts& nodes) {
  Leave leave;
  const auto look = [&](const NodeId& id) {
    const auto node = nodes.find(id);
    if (node == nodes.end()) return;
    leave.Join({node->second.draining, node->second.drain_deadline});
  };
  if (replica.placed) look(replica.node);
  for (const resources::Reservation& bundle : replica.bundles) look(bundle.node);
  return leave;
}

// Of replicas that share a rank all but one: a node that was given up came back with what had been
// replaced meanwhile. The target version stays, then what serves.
std::set<std::string> SharedRanks(const Deployment& deployment) {
  std::set<int> taken;
  std::set<std::string> shared;
  const auto preference = [&](const Replica& replica) {
    const bool old = MatchVersion(replica, deployment.target) == VersionMatch::kOld;
    return (old ? 2 : 0) + (InService(replica) ? 0 : 1);
  };
  for (int round = 0; round < 4; ++round) {
    for (const Replica& replica : deployment.replicas) {
      if (replica.state == ReplicaState::kStopping || preference(replica) != round) continue;
      if (!taken.insert(replica.rank.global).second) shared.insert(replica.unique);
    }
  }
  return shared;
}

// By gang.
std::map<std::string, Leave> LeavingGangs(const Deployment& deployment, const NodeFacts& nodes,
                                          const std::set<std::string>& shared) {
  std::map<std::string, Leave> gangs;
  for (const Replica& replica : deployment.replicas) {
    if (replica.gang.empty() || replica.state == ReplicaState::kStopping) continue;
    gangs[replica.gang].Join(LeaveOf(replica, nodes));
    gangs[replica.gang].Join({.has_to = shared.contains(replica.unique)});
  }
  return gangs;
}

// Puts one that is on its way where it belongs; returns true while it has to serve on.
bool ServesOn(const Replica& replica, const Leave& leave, TimePoint now, Migration& plan) {
  if (!leave.has_to) {
    plan.back.push_back(replica.unique);
    return false;
  }
  if (leave.deadline == kNever) return true;
  const TimePoint last = leave.deadline - FromSeconds(replica.spec.graceful_shutdown_timeout_s);
  if (now >= last) {
    plan.stop.push_back(replica.unique);
    return false;
  }
  plan.wake = std::min(plan.wake, last);
  return true;
}

// The first of them, gangs as a whole, whatever the size of the target's.
void StopSurplus(const std::vector<const Replica*>& migrating, int surplus, Migration& plan) {
  std::set<std::string> looked_at;
  for (const Replica* replica : migrating) {
    std::vector<std::string> members = {replica->unique};
    if (!replica->gang.empty()) {
      if (!looked_at.insert(replica->gang).second) continue;
      members.clear();
      for (const Replica* other : migrating) {
        if (other->gang == replica->gang) members.push_back(other->unique);
      }
    }
    if (static_cast<int>(members.size()) > surplus) continue;
    surplus -= static_cast<int>(members.size());
    plan.stop.insert(plan.stop.end(), members.begin(), members.end());
  }
}

}  // namespace

Migration PlanMigration(const Deployment& deployment, const NodeFacts& nodes, TimePoint now) {
  Migration plan;
  std::vector<const Replica*> migrating;
  int staying = 0;
  const std::set<std::string> shared = SharedRanks(deployment);
  const auto gangs = LeavingGangs(deployment, nodes, shared);
  for (const Replica& replica : deployment.replicas) {
    const auto gang = gangs.find(replica.gang);
    Leave leave = gang == gangs.end() ? LeaveOf(replica, nodes) : gang->second;
    leave.Join({.has_to = shared.contains(replica.unique)});
    const bool runs = replica.state == ReplicaState::kRunning;
    if (!leave.has_to && (runs || replica.state == ReplicaState::kUpdating)) ++staying;
    if (leave.has_to && runs) plan.begin.push_back(replica.unique);
    const bool waits = !replica.placed && !shared.contains(replica.unique);
    if (leave.has_to && !waits && replica.state == ReplicaState::kStarting) {
      plan.stop.push_back(replica.unique);
    }
    if (replica.state == ReplicaState::kPendingMigration && ServesOn(replica, leave, now, plan)) {
      migrating.push_back(&replica);
    }
  }
  const int all = staying + static_cast<int>(migrating.size());
  StopSurplus(migrating, std::max(all - deployment.target_replicas, 0), plan);
  return plan;
}

}  // namespace penstock::control
