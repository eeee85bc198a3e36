#include "control/claims.h"

#include <algorithm>
#include <tuple>
#include <utility>
#include <variant>

#include "control/placer.h"

namespace penstock::control {
namespace {

using placement::ClusterNode;
using resources::Allocation;

void GiveBackTo(placement::Cluster& cluster, const Replica& replica) {
  for (const auto& [id, allocation] : HeldBy(replica)) {
    ClusterNode* node = cluster.Find(id);
    if (node != nullptr && node->alive) node->resources.GiveBack(allocation);
  }
}

// The part of `wanted` that is free.
Allocation FreePart(const resources::NodeResources& node, const Allocation& wanted) {
  Allocation part;
  for (const auto& [name, amount] : wanted.amounts.amounts()) {
    const auto devices = wanted.devices.find(name);
    if (devices == wanted.devices.end()) {
      part.amounts.Set(name, std::min(amount, node.Free(name)));
      continue;
    }
    Quantity sum;
    for (const auto& [device, share] : devices->second) {
      const Quantity free = std::min(share, node.FreeShares(name)[device]);
      if (free == Quantity()) continue;
      part.devices[name].push_back({device, free});
      sum += free;
    }
    part.amounts.Set(name, sum);
  }
  return part;
}

}  // namespace

Claims::Claims(const State& state)
    : placement_(state.placement), rest_(state.cluster), later_(state.cluster) {
  for (const auto& [id, deployment] : state.deployments) {
    for (const Replica& replica : deployment.replicas) {
      if (replica.placed && replica.state == ReplicaState::kStopping) GiveBackTo(later_, replica);
    }
    FindCandidates(deployment);
  }
  for (auto& [node, candidates] : candidates_) {
    std::stable_sort(
        candidates.begin(), candidates.end(), [](const Candidate& a, const Candidate& b) {
          return std::tie(a.priority, a.in_service) < std::tie(b.priority, b.in_service);
        });
  }
}

// Gangs and those with bundles are left alone: they hold more than a part of one node.
void Claims::FindCandidates(const Deployment& deployment) {
  const DeploymentSpec& spec = deployment.target.spec;
  const int beyond = HeldReplicas(deployment) - GuaranteedReplicas(deployment);
  if (deployment.target.deleting || !spec.autoscaling || spec.gang || beyond <= 0) return;
  beyond_[deployment.id] = beyond;
  for (auto it = deployment.replicas.rbegin(); it != deployment.replicas.rend(); ++it) {
    const bool goes = it->state == ReplicaState::kStopping ||
                      it->state == ReplicaState::kPendingMigration || !it->placed;
    if (goes || !it->bundles.empty() || !it->gang.empty()) continue;
    candidates_[it->node].push_back({.id = {deployment.id, it->unique},
                                     .priority = spec.priority,
                                     .in_service = InService(*it),
                                     .allocation = it->allocation});
  }
}

std::optional<Claims::Claim> Claims::Make(const DeploymentId& deployment, const Replica& replica,
                                          const Standing& standing, const resources::Demand& demand,
                                          const placement::Policy& policy) {
  if (const ClusterNode* node = later_.Find(replica.claim); node != nullptr) {
    if (const auto room = placement::RoomOn(*node, demand)) {
      Note(deployment, replica.claim, *room);
      return Claim{.node = replica.claim, .displaced = {}};
    }
  }
  auto decision = placement::Place(later_, demand, policy, placement_);
  if (const auto* place = std::get_if<placement::Placed>(&decision)) {
    Note(deployment, place->node, place->allocation);
    return Claim{.node = place->node, .displaced = {}};
  }
  const auto choice = ChooseDisplaced(deployment, standing, demand);
  if (!choice) return std::nullopt;
  Claim claim{.node = choice->node->resources.spec().id, .displaced = {}};
  for (const Candidate& one : choice->displaced) {
    choice->node->resources.GiveBack(one.allocation);
    --beyond_[one.id.deployment];
    std::erase_if(candidates_[claim.node], [&](const Candidate& c) { return c.id == one.id; });
    claim.displaced.push_back(one.id);
  }
  Note(deployment, claim.node, *placement::RoomOn(*choice->node, demand));
  return claim;
}

std::optional<Claims::Choice> Claims::ChooseDisplaced(const DeploymentId& deployment,
                                                      const Standing& standing,
                                                      const resources::Demand& demand) {
  // The fewest, then those of the lowest priority; the first node on a tie.
  const auto cost = [](const std::vector<Candidate>& displaced) {
    int highest = displaced.front().priority;
    for (const Candidate& one : displaced) highest = std::max(highest, one.priority);
    return std::pair(displaced.size(), highest);
  };
  std::optional<Choice> best;
  for (const ClusterNode& node : later_.nodes()) {
    const NodeId& id = node.resources.spec().id;
    if (!node.alive || !candidates_.contains(id)) continue;
    auto needed = Needed(node, deployment, standing, demand);
    if (needed.empty() || (best && cost(best->displaced) <= cost(needed))) continue;
    best = Choice{later_.Find(id), std::move(needed)};
  }
  return best;
}

// Those that have to leave this node, tried in their order; empty when that is not enough.
std::vector<Claims::Candidate> Claims::Needed(ClusterNode node, const DeploymentId& deployment,
                                              const Standing& standing,
                                              const resources::Demand& demand) const {
  std::vector<Candidate> needed;
  std::map<DeploymentId, int> beyond = beyond_;
  for (const Candidate& one : candidates_.at(node.resources.spec().id)) {
    const bool may = one.id.deployment != deployment && MayDisplace(standing, one.priority);
    if (!may || beyond[one.id.deployment]-- <= 0) continue;
    node.resources.GiveBack(one.allocation);
    needed.push_back(one);
    if (placement::RoomOn(node, demand)) break;
  }
  if (!placement::RoomOn(node, demand)) return {};
  // What went in vain stays: the last ones first, they are the dearest.
  for (std::size_t i = needed.size(); i-- > 0;) {
    node.resources.Take(needed[i].allocation);
    if (placement::RoomOn(node, demand)) {
      needed.erase(needed.begin() + static_cast<std::ptrdiff_t>(i));
    } else {
      node.resources.GiveBack(needed[i].allocation);
    }
  }
  return needed;
}

void Claims::Note(const DeploymentId& deployment, const NodeId& node,
                  const Allocation& allocation) {
  later_.Find(node)->resources.Take(allocation);
  ClusterNode* rest = rest_.Find(node);
  rest->resources.Take(FreePart(rest->resources, allocation));
  claimants_.try_emplace(node, deployment);
}

const DeploymentId* Claims::Claimant(const NodeId& node) const {
  const auto found = claimants_.find(node);
  return found == claimants_.end() ? nullptr : &found->second;
}

void Claims::Take(const std::vector<resources::Reservation>& reservations) {
  for (const auto& [id, allocation] : reservations) {
    for (placement::Cluster* cluster : {&rest_, &later_}) {
      ClusterNode* node = cluster->Find(id);
      if (node != nullptr && node->alive) node->resources.Take(allocation);
    }
  }
}

}  // namespace penstock::control
