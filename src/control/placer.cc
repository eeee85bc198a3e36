#include "control/placer.h"

#include <algorithm>
#include <map>
#include <optional>
#include <span>
#include <sstream>

#include "control/claims.h"
#include "control/precedence.h"
#include "control/ranks.h"
#include "control/rollout.h"
#include "resources/families.h"

namespace penstock::control {
namespace {

// What a deployment's replicas ask for.
struct Wanted {
  resources::Demand demand;  // of one replica
  std::optional<placement::GroupDemand> group;
  resources::Demand size;  // what pack sorts by
};

// A replica, or the replicas of a gang.
struct Waiting {
  DeploymentId deployment;
  std::vector<Replica*> members;
  const Wanted* wanted;
  Standing standing;
  bool surges = false;  // goes beyond the target, for a rollout
};

// Pack sorts by all bundles where these are one place, else by the first, or by the replica.
resources::Demand SizeOf(const Wanted& wanted) {
  if (!wanted.group) return wanted.demand;
  resources::Demand size = wanted.group->bundles.front();
  if (wanted.group->strategy != GroupStrategy::kStrictPack) return size;
  for (std::size_t i = 1; i < wanted.group->bundles.size(); ++i) {
    size.amounts.Add(wanted.group->bundles[i].amounts);
  }
  return size;
}

Wanted WantedBy(const Deployment& deployment) {
  Wanted wanted{.demand = DemandOf(deployment), .group = GroupOf(deployment)};
  wanted.size = SizeOf(wanted);
  return wanted;
}

std::optional<std::string> Impossible(const resources::Demand& demand) {
  for (const auto& [name, amount] : demand.amounts.amounts()) {
    if (auto message = resources::ImpossibleDeviceAmount(name, amount)) return message;
  }
  return std::nullopt;
}

std::optional<std::string> Impossible(const Wanted& wanted) {
  if (!wanted.group) return Impossible(wanted.demand);
  for (const resources::Demand& bundle : wanted.group->bundles) {
    if (auto message = Impossible(bundle)) return message;
  }
  return std::nullopt;
}

bool Waits(const Replica& replica) {
  return replica.state == ReplicaState::kStarting && !replica.placed;
}

// Those of a deployment, the members of a gang side by side. A gang that is not whole does not
// begin.
std::vector<Waiting> WaitingOf(Deployment& deployment, const Wanted& wanted) {
  std::vector<Waiting> waiting;
  for (Replica& replica : deployment.replicas) {
    if (!Waits(replica)) continue;
    const bool joins = !replica.gang.empty() && !waiting.empty() &&
                       waiting.back().members.front()->gang == replica.gang;
    if (!joins) waiting.push_back({.deployment = deployment.id, .wanted = &wanted});
    waiting.back().members.push_back(&replica);
  }
  std::erase_if(waiting, [&](const Waiting& one) {
    return static_cast<int>(one.members.size()) < GangSize(deployment.target.spec);
  });
  int count = HeldReplicas(deployment);
  for (Waiting& one : waiting) {
    count += static_cast<int>(one.members.size());
    one.standing = {.guaranteed = count <= GuaranteedReplicas(deployment),
                    .priority = deployment.target.spec.priority};
    one.surges = count > deployment.target_replicas;
  }
  return waiting;
}

// True when the reason is another one than before.
bool NotePending(Replica& replica, const std::string& code, const std::string& text) {
  const bool news = replica.pending_code != code;
  replica.pending_code = code;
  replica.pending_text = text;
  return news;
}

void Settle(const Deployment& deployment, Replica& replica, resources::Reservation place) {
  replica.placed = true;
  replica.node = std::move(place.node);
  replica.allocation = std::move(place.allocation);
  replica.rank = RankOnNode(deployment, replica);
  replica.pending_code.clear();
  replica.pending_text.clear();
  replica.claim.clear();
}

// Where room is kept for it, if there is enough by now.
bool SettleWhereClaimed(State& state, const placement::Cluster& room, const Waiting& one) {
  Replica& replica = *one.members.front();
  const placement::ClusterNode* node = room.Find(replica.claim);
  auto allocation = node == nullptr ? std::nullopt : placement::RoomOn(*node, one.wanted->demand);
  if (!allocation) return false;
  state.placement.last_node = replica.claim;
  Settle(state.deployments.at(one.deployment), replica, {replica.claim, *std::move(allocation)});
  Take(state, HeldBy(replica));
  return true;
}

// Gives the members their places where `room` has some, or returns the code and the text of the
// refusal.
std::optional<std::pair<std::string, std::string>> PlaceOne(State& state,
                                                            const placement::Cluster& room,
                                                            const Waiting& one,
                                                            const placement::Policy& policy) {
  const Deployment& deployment = state.deployments.at(one.deployment);
  if (!one.wanted->group) {
    if (SettleWhereClaimed(state, room, one)) return std::nullopt;
    auto decision = placement::Place(room, one.wanted->demand, policy, state.placement);
    if (const auto* no = std::get_if<placement::Refused>(&decision)) {
      return std::pair(no->CodeText(), no->Text());
    }
    Settle(deployment, *one.members.front(), std::get<placement::Placed>(std::move(decision)));
    Take(state, HeldBy(*one.members.front()));
    return std::nullopt;
  }
  auto decision = placement::PlaceGroup(room, *one.wanted->group, policy, state.placement);
  if (const auto* no = std::get_if<placement::GroupRefused>(&decision)) {
    return std::pair(no->CodeText(), no->Text());
  }
  auto& bundles = std::get<placement::GroupPlaced>(decision).bundles;
  const std::size_t each = bundles.size() / one.members.size();
  for (std::size_t i = 0; i < one.members.size(); ++i) {
    Replica& replica = *one.members[i];
    const auto first = bundles.begin() + static_cast<std::ptrdiff_t>(i * each);
    replica.bundles.assign(first, first + static_cast<std::ptrdiff_t>(each));
    const resources::Reservation& home = replica.bundles.front();
    Settle(deployment, replica, {home.node, PartOf(home.allocation, one.wanted->demand.amounts)});
    Take(state, HeldBy(replica));
  }
  return std::nullopt;
}

// Deployment 'd' in application 'a'.
std::string NameOf(const DeploymentId& id) {
  return "deployment '" + id.name + "' in application '" + id.app + "'";
}

// One round of placement: those that stand highest first.
class Round {
 public:
  Round(State& state, const placement::Policy& policy) : state_(state), policy_(policy) {}

  // Those that stand equal. `lower`: there are others below them.
  void PlaceEquals(std::span<const Waiting> equals, bool lower) {
    std::vector<const Waiting*> without;
    for (const Waiting& one : equals) {
      if (const auto impossible = Impossible(*one.wanted)) {
        for (const Replica* replica : one.members) {
          result_.impossible.emplace_back(ReplicaId{one.deployment, replica->unique}, *impossible);
        }
      } else if (Try(one)) {
        without.push_back(&one);
      }
    }
    if (without.empty() || (!lower && !AnyBeyond())) return;
    if (!claims_) claims_.emplace(state_);
    for (const Waiting* one : without) Claim(*one);
  }

  Placements& result() { return result_; }

 private:
  // True when it has no room yet and may claim some.
  bool Try(const Waiting& one) {
    const auto refusal = PlaceOne(state_, claims_ ? claims_->rest() : state_.cluster, one, policy_);
    for (Replica* replica : one.members) {
      const ReplicaId id{one.deployment, replica->unique};
      if (!refusal) {
        result_.placed.push_back(id);
        if (claims_) claims_->Take(HeldBy(*replica));
      } else if (NotePending(*replica, refusal->first, refusal->second + KeptFor(one))) {
        result_.refused.push_back(id);
      }
    }
    return refusal && refusal->first == placement::kFitsLater && !one.wanted->group && !one.surges;
  }

  // Why there is no room although some is free; "" where none is.
  std::string KeptFor(const Waiting& one) const {
    if (!claims_ || one.wanted->group) return "";
    for (const auto& node : state_.cluster.nodes()) {
      const DeploymentId* claimant = claims_->Claimant(node.resources.spec().id);
      if (claimant == nullptr || !placement::RoomOn(node, one.wanted->demand)) continue;
      return ". What is free on node '" + node.resources.spec().name + "' is kept for " +
             NameOf(*claimant) + ", which goes first.";
    }
    return "";
  }

  void Claim(const Waiting& one) {
    Replica& replica = *one.members.front();
    const auto claim =
        claims_->Make(one.deployment, replica, one.standing, one.wanted->demand, policy_);
    replica.claim = claim ? claim->node : "";
    if (!claim) return;
    replica.pending_text += ". Room is kept for it on node '" +
                            state_.cluster.Find(claim->node)->resources.spec().name +
                            "', until those have left that leave.";
    const std::string why = one.standing.guaranteed
                                ? "which has fewer replicas than it is guaranteed"
                                : "whose priority is " + std::to_string(one.standing.priority);
    for (const ReplicaId& id : claim->displaced) {
      result_.displaced.emplace_back(id, "Replica '" + id.unique + "' made room for " +
                                             NameOf(one.deployment) + ", " + why + ".");
      replica.pending_text += " A replica of " + NameOf(id.deployment) + " makes room for it.";
    }
  }

  // Whether any deployment has more than it is guaranteed.
  bool AnyBeyond() const {
    return std::ranges::any_of(state_.deployments, [](const auto& entry) {
      const Deployment& deployment = entry.second;
      return deployment.target.spec.autoscaling &&
             HeldReplicas(deployment) > GuaranteedReplicas(deployment);
    });
  }

  State& state_;
  const placement::Policy& policy_;
  std::optional<Claims> claims_;
  Placements result_;
};

}  // namespace

bool MaySpanNodes(const DeploymentSpec& spec) {
  if (spec.gang) return true;
  return spec.placement_group && spec.placement_group->strategy != GroupStrategy::kStrictPack;
}

Placements PlaceWaiting(State& state, std::set<DeploymentId>& unplaced,
                        const placement::Policy& policy) {
  std::erase_if(unplaced, [&](const DeploymentId& id) {
    const auto deployment = state.deployments.find(id);
    return deployment == state.deployments.end() ||
           std::ranges::none_of(deployment->second.replicas, Waits);
  });
  std::map<DeploymentId, Wanted> wanted;
  std::vector<Waiting> waiting;
  for (const DeploymentId& id : unplaced) {
    Deployment& deployment = state.deployments.at(id);
    const Wanted& asks = wanted.emplace(id, WantedBy(deployment)).first->second;
    for (Waiting& one : WaitingOf(deployment, asks)) waiting.push_back(std::move(one));
  }
  if (policy.strategy == placement::Strategy::kPack) {
    std::stable_sort(waiting.begin(), waiting.end(), [&](const Waiting& a, const Waiting& b) {
      return placement::PlacesBefore(a.wanted->size, b.wanted->size, policy);
    });
  }
  std::stable_sort(waiting.begin(), waiting.end(), [](const Waiting& a, const Waiting& b) {
    return GoesBefore(a.standing, b.standing);
  });
  Round round(state, policy);
  const std::span<const Waiting> all(waiting);
  for (std::size_t first = 0; first < all.size();) {
    std::size_t last = first + 1;
    while (last < all.size() && all[last].standing == all[first].standing) ++last;
    round.PlaceEquals(all.subspan(first, last - first), last < all.size());
    first = last;
  }
  return round.result();
}

std::vector<resources::Reservation> HeldBy(const Replica& replica) {
  if (!replica.bundles.empty()) return replica.bundles;
  return {{replica.node, replica.allocation}};
}

void Take(State& state, const std::vector<resources::Reservation>& reservations) {
  for (const auto& [id, allocation] : reservations) {
    auto* node = state.cluster.Find(id);
    if (node != nullptr && node->alive) node->resources.Take(allocation);
  }
}

std::vector<resources::Reservation> TakeFree(
    State& state, const std::vector<resources::Reservation>& reservations) {
  std::vector<resources::Reservation> kept;
  for (const resources::Reservation& one : reservations) {
    auto* node = state.cluster.Find(one.node);
    const bool alive = node != nullptr && node->alive;
    if (alive && !node->resources.Holds(one.allocation)) continue;
    if (alive) node->resources.Take(one.allocation);
    kept.push_back(one);
  }
  return kept;
}

void GiveBack(State& state, const std::vector<resources::Reservation>& reservations) {
  for (const auto& [id, allocation] : reservations) {
    auto* node = state.cluster.Find(id);
    if (node != nullptr && node->alive) node->resources.GiveBack(allocation);
  }
}

void ReleasePlace(State& state, Replica& replica) {
  if (!replica.placed) return;
  GiveBack(state, HeldBy(replica));
  replica.placed = false;
  replica.bundles.clear();
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
