#include "control/compaction.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <utility>
#include <variant>
#include <vector>

#include "control/placer.h"

namespace penstock::control {
namespace {

using placement::Cluster;
using placement::ClusterNode;

constexpr Duration kPeriod = std::chrono::seconds(10);

struct Move {
  resources::Demand demand;
  std::optional<placement::GroupDemand> group;
  std::vector<resources::Reservation> held;
};

struct Candidate {
  NodeId node;
  resources::Demand size;  // of the whole node
  std::vector<Move> moves;
};

bool MayMove(const Replica& replica) {
  const auto held = HeldBy(replica);
  return replica.state == ReplicaState::kRunning && replica.gang.empty() &&
         std::all_of(held.begin(), held.end(),
                     [&](const auto& reservation) { return reservation.node == replica.node; });
}

// What lies on each node; nothing where some of it may not move.
std::map<NodeId, std::optional<std::vector<Move>>> MovesOf(const State& state) {
  std::map<NodeId, std::optional<std::vector<Move>>> moves;
  for (const auto& [id, deployment] : state.deployments) {
    for (const Replica& replica : deployment.replicas) {
      if (!replica.placed) continue;
      const bool may = MayMove(replica);
      for (const auto& [node, allocation] : HeldBy(replica)) {
        auto& on_node = moves.try_emplace(node, std::in_place).first->second;
        if (!may) on_node.reset();
      }
      auto& home = moves.at(replica.node);
      if (may && home)
        home->push_back({DemandOf(deployment), GroupOf(deployment), HeldBy(replica)});
    }
  }
  return moves;
}

// Takes what one replica would be given; nullopt when it has no room.
std::optional<std::vector<resources::Reservation>> TakePlace(Cluster& cluster, const Move& move,
                                                             const placement::Policy& policy) {
  placement::PlacementState memory;
  std::vector<resources::Reservation> places;
  if (move.group) {
    auto decision = placement::PlaceGroup(cluster, *move.group, policy, memory);
    auto* placed = std::get_if<placement::GroupPlaced>(&decision);
    if (placed == nullptr) return std::nullopt;
    places = std::move(placed->bundles);
  } else {
    auto decision = placement::Place(cluster, move.demand, policy, memory);
    auto* placed = std::get_if<placement::Placed>(&decision);
    if (placed == nullptr) return std::nullopt;
    places.push_back(std::move(*placed));
  }
  for (const auto& [node, allocation] : places) cluster.Find(node)->resources.Take(allocation);
  return places;
}

// Whether all of it fits elsewhere. `cluster` is as before afterwards.
bool FitsElsewhere(Cluster& cluster, const Candidate& candidate, const placement::Policy& policy) {
  cluster.Find(candidate.node)->draining = true;
  std::vector<resources::Reservation> taken;
  const bool fits = std::all_of(candidate.moves.begin(), candidate.moves.end(), [&](const Move& m) {
    const auto places = TakePlace(cluster, m, policy);
    if (places) taken.insert(taken.end(), places->begin(), places->end());
    return places.has_value();
  });
  for (const auto& [node, allocation] : taken) cluster.Find(node)->resources.GiveBack(allocation);
  cluster.Find(candidate.node)->draining = false;
  return fits;
}

}  // namespace

std::optional<NodeId> NodeToEmpty(const State& state, const placement::Policy& policy) {
  const auto moves = MovesOf(state);
  Cluster cluster = state.cluster;
  std::vector<Candidate> candidates;
  for (const ClusterNode& node : state.cluster.nodes()) {
    const auto& spec = node.resources.spec();
    const auto found = moves.find(spec.id);
    // Nothing is moved to a node that has nothing.
    if (found == moves.end()) cluster.Find(spec.id)->draining = true;
    if (found == moves.end() || !found->second || spec.is_head || !node.alive || node.draining) {
      continue;
    }
    Candidate candidate{.node = spec.id, .size = {}, .moves = *found->second};
    candidate.size.amounts = spec.total;
    std::stable_sort(candidate.moves.begin(), candidate.moves.end(),
                     [&](const Move& a, const Move& b) {
                       return placement::PlacesBefore(a.demand, b.demand, policy);
                     });
    candidates.push_back(std::move(candidate));
  }
  std::stable_sort(candidates.begin(), candidates.end(),
                   [&](const Candidate& a, const Candidate& b) {
                     if (placement::PlacesBefore(a.size, b.size, policy)) return true;
                     if (placement::PlacesBefore(b.size, a.size, policy)) return false;
                     return a.moves.size() < b.moves.size();
                   });
  if (candidates.size() > kMostCandidates) candidates.resize(kMostCandidates);
  for (const Candidate& candidate : candidates) {
    if (FitsElsewhere(cluster, candidate, policy)) return candidate.node;
  }
  return std::nullopt;
}

Compaction::Step Compaction::Next(const State& state, bool settled, const placement::Policy& policy,
                                  TimePoint now) {
  if (under_way_) return Continue(state, now);
  if (!settled) {
    settled_since_.reset();
    idle_ = false;
    return {};
  }
  if (!settled_since_) settled_since_ = now;
  if (now < std::max(*settled_since_ + options_.delay, next_)) return {};
  next_ = now + kPeriod;
  const bool drains = std::ranges::any_of(
      state.cluster.nodes(), [](const ClusterNode& n) { return n.alive && n.draining; });
  const auto node = drains ? std::nullopt : NodeToEmpty(state, policy);
  idle_ = !node;
  if (!node) return {};
  under_way_ = UnderWay{.node = *node, .until = now + options_.timeout};
  return {.begin = node, .end = {}};
}

Compaction::Step Compaction::Continue(const State& state, TimePoint now) {
  const NodeId id = under_way_->node;
  const ClusterNode* node = state.cluster.Find(id);
  if (node == nullptr || !node->alive || !node->draining) {
    under_way_.reset();  // it is gone, or somebody wants it
    Fail(now);
    return {};
  }
  const bool empty = node->resources.allocations() == 0;
  if (!empty && now < under_way_->until) return {};
  under_way_.reset();
  settled_since_.reset();
  if (empty) {
    failures_ = 0;
  } else {
    Fail(now);
  }
  return {.begin = {}, .end = id};
}

void Compaction::Fail(TimePoint now) {
  const double backoff_s = std::exp2(std::min(++failures_, 30));
  next_ = now + std::min(FromSeconds(backoff_s), options_.most_backoff);
}

TimePoint Compaction::NextLook(bool settled) const {
  if (under_way_) return under_way_->until;
  if (!settled || idle_) return kNever;
  if (!settled_since_) return TimePoint::min();
  return std::max(*settled_since_ + options_.delay, next_);
}

void Compaction::Forget(const NodeId& node) {
  if (under_way_ && under_way_->node == node) under_way_.reset();
}

}  // namespace penstock::control
