#include "control/placer.h"

#include <algorithm>
#include <map>
#include <optional>
#include <sstream>

#include "penstock/check.h"
#include "resources/families.h"

namespace penstock::control {
namespace {

struct Waiting {
  Deployment* deployment;
  Replica* replica;
  const resources::Demand* demand;
};

std::optional<std::string> Impossible(const resources::Demand& demand) {
  for (const auto& [name, amount] : demand.amounts.amounts()) {
    if (auto message = resources::ImpossibleDeviceAmount(name, amount)) return message;
  }
  return std::nullopt;
}

void NotePending(Replica& replica, const placement::Refused& refused) {
  const std::string text = refused.Text();
  replica.pending_code = text.substr(0, text.find(':'));
  replica.pending_text = text;
}

}  // namespace

Placements PlaceWaiting(State& state, const placement::Policy& policy) {
  std::map<DeploymentId, resources::Demand> demands;
  std::vector<Waiting> waiting;
  for (auto& [id, deployment] : state.deployments) {
    for (Replica& replica : deployment.replicas) {
      if (replica.state != ReplicaState::kStarting || replica.placed) continue;
      const auto [demand, fresh] = demands.try_emplace(id);
      if (fresh) demand->second = DemandOf(deployment);
      waiting.push_back({&deployment, &replica, &demand->second});
    }
  }
  if (policy.strategy == placement::Strategy::kPack) {
    std::stable_sort(waiting.begin(), waiting.end(), [&](const Waiting& a, const Waiting& b) {
      return placement::PlacesBefore(*a.demand, *b.demand, policy);
    });
  }
  Placements result;
  for (const Waiting& one : waiting) {
    const ReplicaId id{one.deployment->id, one.replica->unique};
    if (auto why = Impossible(*one.demand)) {
      result.impossible.emplace_back(id, *std::move(why));
      continue;
    }
    auto decision = placement::Place(state.cluster, *one.demand, policy, state.placement);
    if (auto* placed = std::get_if<placement::Placed>(&decision)) {
      state.cluster.Find(placed->node)->resources.Take(placed->allocation);
      one.replica->placed = true;
      one.replica->node = placed->node;
      one.replica->allocation = std::move(placed->allocation);
      one.replica->pending_code.clear();
      one.replica->pending_text.clear();
      result.placed.push_back(id);
    } else {
      NotePending(*one.replica, std::get<placement::Refused>(decision));
    }
  }
  return result;
}

void ReleasePlace(State& state, Replica& replica) {
  if (!replica.placed) return;
  if (auto* node = state.cluster.Find(replica.node)) node->resources.GiveBack(replica.allocation);
  replica.placed = false;
}

placement::Policy PolicyFrom(const std::string& use_pack, const std::string& high_priority) {
  placement::Policy policy;
  if (use_pack == "1") policy.strategy = placement::Strategy::kPack;
  std::istringstream names(high_priority);
  for (std::string name; std::getline(names, name, ',');) {
    if (!name.empty()) policy.high_priority_resources.push_back(name);
  }
  return policy;
}

}  // namespace penstock::control
