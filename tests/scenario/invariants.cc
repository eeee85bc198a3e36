#include "scenario/invariants.h"

#include <algorithm>
#include <set>
#include <tuple>

#include "control/claims.h"
#include "control/precedence.h"
#include "control/ranks.h"
#include "control/rollout.h"
#include "control/status.h"
#include "scenario/sim.h"

namespace penstock::scenario {
namespace {

using control::Deployment;
using control::Replica;
using control::ReplicaState;
using Broken = std::vector<std::string>;

// Sums of what is held, by node.
struct Held {
  std::map<NodeId, resources::ResourceSet> amounts;
  std::map<std::tuple<NodeId, std::string, std::size_t>, Quantity> shares;  // by device
  std::map<NodeId, int> allocations;

  void Add(const NodeId& node, const resources::Allocation& allocation) {
    amounts[node].Add(allocation.amounts);
    ++allocations[node];
    for (const auto& [resource, given] : allocation.devices) {
      for (const auto& share : given) shares[{node, resource, share.device}] += share.share;
    }
  }
};

void CheckHeld(const Sim& sim, const Held& held, const std::string& whose, Broken& broken) {
  for (const auto& [device, share] : held.shares) {
    if (share <= kOneUnit) continue;
    broken.push_back(whose + ": device " + std::to_string(std::get<2>(device)) + " of " +
                     std::get<0>(device) + " is given twice");
  }
  for (const resources::NodeSpec& node : sim.nodes()) {
    const auto found = held.amounts.find(node.id);
    if (found == held.amounts.end()) continue;
    for (const auto& [resource, total] : node.total.amounts()) {
      if (found->second.Get(resource) <= total) continue;
      broken.push_back(whose + ": more " + resource + " is given than " + node.id + " has");
    }
  }
}

Held ByProcesses(const Sim& sim) {
  Held held;
  for (const auto& [id, process] : sim.engine.replicas) {
    held.Add(process.order.node, process.order.allocation);
  }
  return held;
}

Held ByBooks(const Sim& sim) {
  Held held;
  for (const auto& [id, deployment] : sim.controller->state().deployments) {
    for (const Replica& replica : deployment.replicas) {
      if (!replica.placed) continue;
      for (const auto& [node, allocation] : control::HeldBy(replica)) held.Add(node, allocation);
    }
  }
  return held;
}

int InServiceOf(const Deployment& deployment) {
  return static_cast<int>(std::count_if(deployment.replicas.begin(), deployment.replicas.end(),
                                        [](const Replica& r) { return control::InService(r); }));
}

void CheckRoutes(const Sim& sim, Broken& broken) {
  for (const auto& [id, route] : sim.routers.table) {
    const Deployment* deployment = sim.Find(id.app, id.name);
    for (const auto& routed : route.replicas) {
      const Replica* record = deployment == nullptr ? nullptr : deployment->Find(routed.id);
      if (record == nullptr || !control::InService(*record)) {
        broken.push_back("routed to " + routed.id + ", which is not in service");
      }
      const auto process = sim.engine.replicas.find({id, routed.id});
      const bool runs = process != sim.engine.replicas.end();
      if (runs && process->second.stopping) {
        broken.push_back("routed to " + routed.id + ", which stops");
      }
      // With delays the news of its end may be under way.
      if (!runs && sim.engine.faults.random == nullptr) {
        broken.push_back("routed to " + routed.id + ", which is gone");
      }
    }
  }
}

void CheckStatuses(const Sim& sim, Broken& broken) {
  const auto& state = sim.controller->state();
  for (const auto& [id, deployment] : state.deployments) {
    const bool healthy = deployment.status.status == control::DeploymentStatus::kHealthy;
    if (healthy && !sim.drained() && InServiceOf(deployment) < deployment.target_replicas) {
      std::string states;
      for (const Replica& r : deployment.replicas) {
        states += " " + r.unique + " " + control::Name(r.state) + " of " + r.code_version + " on " +
                  r.node;
      }
      broken.push_back(id.ToString() + " is HEALTHY with " +
                       std::to_string(InServiceOf(deployment)) + " of " +
                       std::to_string(deployment.target_replicas) + " replicas:" + states);
    }
    if (!state.apps.contains(id.app)) broken.push_back(id.ToString() + " has no application");
  }
  for (const auto& [name, app] : state.apps) {
    for (const std::string& deployment : app.deployments) {
      const Deployment* found = sim.Find(name, deployment);
      if (found == nullptr && !app.deleting) broken.push_back(name + " lacks " + deployment);
      if (found == nullptr) continue;
      const bool fine = found->status.status == control::DeploymentStatus::kHealthy ||
                        found->status.trigger == control::Trigger::kAutoscaling;
      if (!fine && app.status.status == control::AppStatus::kRunning) {
        broken.push_back(name + " is RUNNING, its " + deployment + " is not");
      }
    }
  }
}

// ---- at rest --------------------------------------------------------------------------------

bool Current(const Deployment& deployment, const Replica& replica) {
  return MatchVersion(replica, deployment.target) == control::VersionMatch::kCurrent;
}

void CheckProcesses(const Sim& sim, Broken& broken) {
  std::set<ReplicaId> recorded;
  for (const auto& [id, deployment] : sim.controller->state().deployments) {
    for (const Replica& replica : deployment.replicas) {
      if (!replica.placed) continue;
      const ReplicaId whole{id, replica.unique};
      recorded.insert(whole);
      const auto process = sim.engine.replicas.find(whole);
      if (process == sim.engine.replicas.end()) {
        broken.push_back(whole.ToString() + " is recorded and does not run");
      } else if (process->second.ready != control::InService(replica)) {
        broken.push_back(whole.ToString() + " is recorded as " + control::Name(replica.state));
      } else if (process->second.refused && Current(deployment, replica)) {
        broken.push_back(whole.ToString() + " serves as if it had not refused its configuration");
      }
    }
  }
  for (const auto& [id, process] : sim.engine.replicas) {
    if (!recorded.contains(id)) broken.push_back(id.ToString() + " is an orphan");
  }
}

// Whether others have to make room for it, and have not.
bool MayClaim(const Sim& sim, const Deployment& deployment, const Replica& replica) {
  const int held = control::HeldReplicas(deployment);
  const control::Standing standing{.guaranteed = held < control::GuaranteedReplicas(deployment),
                                   .priority = deployment.target.spec.priority};
  if (deployment.gave_up || held >= deployment.target_replicas || replica.placed) return false;
  control::Claims claims(sim.controller->state());
  return claims.Make(deployment.id, replica, standing, control::DemandOf(deployment), {})
      .has_value();
}

// The reason why a replica waits, against what the nodes have.
void CheckPending(const Sim& sim, const Deployment& deployment, const Replica& replica,
                  Broken& broken) {
  const std::string who = deployment.id.ToString();
  if (replica.pending_text.empty()) return broken.push_back(who + " waits without a reason");
  if (control::GroupOf(deployment)) return;  // placement's own tests have an exhaustive packer
  const auto demand = control::DemandOf(deployment);
  bool could_ever = false;
  for (const auto& node : sim.controller->state().cluster.nodes()) {
    if (!node.alive) continue;
    could_ever = could_ever || node.resources.CouldEverFit(demand.amounts);
    const auto fit = node.resources.Fit(demand.amounts);
    if (!node.draining && std::holds_alternative<resources::Allocation>(fit)) {
      broken.push_back(who + " waits, and " + node.resources.spec().id + " has room");
    }
  }
  if (MayClaim(sim, deployment, replica))
    broken.push_back(who + " waits, and others need not stay");
  if (could_ever != (replica.pending_code == placement::kFitsLater)) {
    broken.push_back(who + " waits for a reason that is not so: " + replica.pending_text);
  }
}

void CheckReplicas(const Sim& sim, const Deployment& deployment, Broken& broken) {
  std::set<int> ranks;
  std::map<std::string, int> gangs;  // with the members that are missing
  const bool waits = std::any_of(deployment.replicas.begin(), deployment.replicas.end(),
                                 [](const Replica& r) { return !r.placed; });
  for (const Replica& replica : deployment.replicas) {
    const std::string who = deployment.id.ToString() + " " + replica.unique;
    if (!replica.placed) {
      CheckPending(sim, deployment, replica, broken);
    } else if (waits || deployment.gave_up) {
      // As far as there was room, or the deploy came.
      if (!control::InService(replica)) broken.push_back(who + " is not in service");
    } else if (replica.state != ReplicaState::kRunning) {
      broken.push_back(who + " is still " + control::Name(replica.state));
    } else if (!Current(deployment, replica)) {
      broken.push_back(who + " runs an old version");
    } else if (!ranks.insert(replica.rank.global).second) {
      broken.push_back(who + " shares its rank");
    }
    if (!replica.gang.empty()) {
      gangs.try_emplace(replica.gang, control::GangSize(replica.spec)).first->second -= 1;
    }
  }
  for (const auto& [gang, missing] : gangs) {
    if (missing != 0) {
      broken.push_back(deployment.id.ToString() + " has a gang that is not whole");
    }
  }
}

// Of what has settled.
void CheckRanks(const Sim& sim, const Deployment& deployment, Broken& broken) {
  for (const control::NewRank& change : control::CloseGaps(deployment)) {
    broken.push_back(deployment.id.ToString() + " " + change.unique + " leaves a gap in the ranks");
  }
  for (const Replica& replica : deployment.replicas) {
    const auto found = sim.engine.replicas.find({deployment.id, replica.unique});
    if (found == sim.engine.replicas.end() || found->second.order.rank == replica.rank) continue;
    broken.push_back(deployment.id.ToString() + " " + replica.unique + " believes in another rank");
  }
}

void CheckCount(const Deployment& deployment, const Wish& wish, Broken& broken) {
  const std::string who = deployment.id.ToString();
  const auto& spec = deployment.target.spec;
  const int target = deployment.target_replicas;
  const int whole = target - target % control::GangSize(spec);
  const auto is = static_cast<int>(deployment.replicas.size());
  const bool right_target = spec.autoscaling ? target >= spec.autoscaling->min_replicas &&
                                                   target <= spec.autoscaling->max_replicas
                                             : target == spec.num_replicas;
  if (!right_target) broken.push_back(who + " has a target of " + std::to_string(target));
  if (deployment.gave_up) {
    if (!wish.may_fail) broken.push_back(who + " gave up without a cause");
    // Ray Serve calls it UNHEALTHY where it gave up while it scaled.
    const auto status = deployment.status.status;
    if (status != control::DeploymentStatus::kDeployFailed &&
        status != control::DeploymentStatus::kUnhealthy) {
      broken.push_back(who + " gave up and is " + control::Name(status));
    }
    return;
  }
  int waiting = 0;
  for (const Replica& replica : deployment.replicas) waiting += replica.placed ? 0 : 1;
  if (waiting == 0 && is != whole) {
    broken.push_back(who + " has " + std::to_string(is) + " replicas, wanted are " +
                     std::to_string(whole));
  }
  if (waiting == 0 && target == whole &&
      deployment.status.status != control::DeploymentStatus::kHealthy) {
    broken.push_back(who + " has all it wants and is " + control::Name(deployment.status.status) +
                     ": " + deployment.status.message);
  }
}

void CheckWishes(const Sim& sim, const Wishes& wishes, Broken& broken) {
  std::set<std::string> apps;
  for (const auto& [id, wish] : wishes) {
    apps.insert(id.app);
    const Deployment* deployment = sim.Find(id.app, id.name);
    if (deployment == nullptr || deployment->target.deleting) {
      broken.push_back(id.ToString() + " is not there");
      continue;
    }
    if (deployment->target.code_version != wish.version) {
      broken.push_back(id.ToString() + " is of version " + deployment->target.code_version);
    }
    CheckCount(*deployment, wish, broken);
    CheckReplicas(sim, *deployment, broken);
    CheckRanks(sim, *deployment, broken);
  }
  const auto& state = sim.controller->state();
  for (const auto& [id, deployment] : state.deployments) {
    if (!wishes.contains(id)) broken.push_back(id.ToString() + " was deleted and is there");
  }
  for (const auto& [name, app] : state.apps) {
    if (!apps.contains(name)) broken.push_back("application " + name + " was deleted");
  }
}

void CheckTables(const Sim& sim, Broken& broken) {
  const auto& state = sim.controller->state();
  for (const auto& [id, deployment] : state.deployments) {
    const auto route = sim.routers.table.find(id);
    const std::size_t routed = route == sim.routers.table.end() ? 0 : route->second.replicas.size();
    if (routed != static_cast<std::size_t>(InServiceOf(deployment))) {
      broken.push_back(id.ToString() + " has " + std::to_string(routed) + " routes");
    }
  }
  for (const auto& [id, route] : sim.routers.table) {
    if (!state.deployments.contains(id)) broken.push_back(id.ToString() + " is still routed");
  }
  if (sim.routers.http.size() != state.apps.size()) broken.push_back("HTTP routes differ");
}

void CheckStore(const Sim& sim, Broken& broken) {
  const auto& state = sim.controller->state();
  std::size_t nodes = 0;
  for (const auto& node : state.cluster.nodes()) nodes += node.alive ? 1 : 0;
  std::map<std::string, std::size_t> kept;
  control::MemoryStore store = sim.store;
  const auto values = store.Load();
  for (const auto& [key, value] : *values) ++kept[key.substr(0, key.find('/'))];
  const std::map<std::string, std::size_t> wanted = {
      {"app", state.apps.size()}, {"deployment", state.deployments.size()}, {"node", nodes}};
  for (const auto& [kind, count] : wanted) {
    if (kept[kind] == count) continue;
    broken.push_back("the store has " + std::to_string(kept[kind]) + " of " + kind + ", not " +
                     std::to_string(count));
  }
  if (kept["drain"] > 0) broken.push_back("the store remembers a drain");
}

void CheckReleased(const Sim& sim, const Held& books, Broken& broken) {
  for (const auto& node : sim.controller->state().cluster.nodes()) {
    if (!node.alive) continue;
    const auto& spec = node.resources.spec();
    const auto held = books.allocations.find(spec.id);
    if (node.resources.allocations() != (held == books.allocations.end() ? 0 : held->second)) {
      broken.push_back("something is held for nobody on " + spec.id);
    }
  }
}

}  // namespace

Broken BrokenNow(const Sim& sim) {
  Broken broken;
  for (const ReplicaId& id : sim.stopped_early()) {
    broken.push_back(id.ToString() + " was stopped while a router might send to it");
  }
  CheckHeld(sim, ByProcesses(sim), "processes", broken);
  CheckHeld(sim, ByBooks(sim), "books", broken);
  // A new controller has yet to hear of what runs, and tells routers nothing.
  if (sim.controller->Recovering()) return broken;
  CheckRoutes(sim, broken);
  CheckStatuses(sim, broken);
  return broken;
}

Broken BrokenAtRest(const Sim& sim, const Wishes& wishes) {
  Broken broken = BrokenNow(sim);
  if (sim.controller->Recovering()) broken.push_back("still recovering");
  CheckWishes(sim, wishes, broken);
  CheckProcesses(sim, broken);
  CheckTables(sim, broken);
  CheckStore(sim, broken);
  CheckReleased(sim, ByBooks(sim), broken);
  return broken;
}

}  // namespace penstock::scenario
