#include "route/policy.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace penstock::route {

using Kind = RequestRouterSpec::Kind;

namespace {

// Models whose turns are remembered; beyond that all begin anew.
constexpr std::size_t kMostTurns = 4096;

}  // namespace

void Policy::Adopt(Kind kind, int virtual_nodes, int fallbacks, std::vector<std::string> replicas) {
  ranked_ = 1 + static_cast<std::size_t>(fallbacks);
  const bool same_ring = kind_ == kind && virtual_nodes_ == virtual_nodes;
  if (same_ring && replicas == replicas_) return;
  kind_ = kind;
  virtual_nodes_ = virtual_nodes;
  replicas_ = std::move(replicas);
  places_.clear();
  turns_.clear();
  for (std::size_t i = 0; i < replicas_.size(); ++i) places_[replicas_[i]] = i;
  ring_ = kind_ == Kind::kConsistentHash ? HashRing(replicas_, virtual_nodes) : HashRing();
}

std::optional<std::size_t> Policy::Choose(std::span<const Candidate> candidates, const Wish& wish,
                                          std::uint64_t random) {
  switch (kind_) {
    case Kind::kPowerOfTwoChoices:
      if (!wish.model.empty()) return PickForModel(candidates, wish.patient, random);
      return wish.near ? PickNear(candidates, random) : Pick(candidates, random);
    case Kind::kRoundRobin:
      return InTurn(candidates, wish);
    case Kind::kConsistentHash:
      return OnRing(candidates, wish.point);
    case Kind::kCustom:
      return wish.told == nullptr ? std::nullopt : AsTold(candidates, *wish.told);
  }
  return std::nullopt;
}

std::optional<std::size_t> Policy::InTurn(std::span<const Candidate> candidates, const Wish& wish) {
  if (turns_.size() >= kMostTurns && !turns_.contains(wish.model)) turns_.clear();
  std::size_t& last = turns_.try_emplace(wish.model, kNoTurn).first->second;
  const auto pick = wish.model.empty() ? PickInTurn(candidates, last)
                                       : PickInTurnForModel(candidates, wish.patient, last);
  if (pick) last = *pick;
  return pick;
}

std::optional<std::size_t> Policy::OnRing(std::span<const Candidate> candidates,
                                          std::uint64_t point) const {
  for (const std::size_t place : ring_.Clockwise(point, ranked_)) {
    if (candidates[place].open) return place;
  }
  return std::nullopt;
}

std::optional<std::size_t> Policy::AsTold(std::span<const Candidate> candidates,
                                          const Ranking& told) const {
  for (const auto& group : told) {
    std::optional<std::size_t> best;
    for (const std::string& replica : group) {
      const auto place = places_.find(replica);
      if (place == places_.end() || !candidates[place->second].open) continue;
      if (!best || candidates[place->second].ongoing < candidates[*best].ongoing) {
        best = place->second;
      }
    }
    if (best) return best;
  }
  return std::nullopt;
}

Duration BackoffAfter(int attempts, double initial_s, double multiplier, double max_s) {
  if (attempts <= 1) return Duration::zero();
  return FromSeconds(std::min(initial_s * std::pow(multiplier, attempts - 2), max_s));
}

}  // namespace penstock::route
