#include "route/pick.h"

#include <algorithm>
#include <limits>
#include <vector>

namespace penstock::route {
namespace {

std::optional<std::size_t> LeastLoaded(std::span<const Candidate> candidates) {
  std::optional<std::size_t> best;
  for (std::size_t i = 0; i < candidates.size(); ++i) {
    if (!candidates[i].open) continue;
    if (!best || candidates[i].ongoing < candidates[*best].ongoing) best = i;
  }
  return best;
}

// The first open one behind `last` that `suits`; nullopt when there is none.
template <class Suits>
std::optional<std::size_t> NextAmong(std::span<const Candidate> candidates, std::size_t last,
                                     Suits suits) {
  for (std::size_t step = 1; step <= candidates.size(); ++step) {
    const std::size_t i = (last + step) % candidates.size();
    if (candidates[i].open && suits(candidates[i])) return i;
  }
  return std::nullopt;
}

// Pick among the open ones that `suits`; nullopt when there is none.
template <class Suits>
std::optional<std::size_t> PickAmong(std::span<const Candidate> candidates, std::uint64_t random,
                                     Suits suits) {
  std::vector<Candidate> chosen;
  std::vector<std::size_t> places;
  for (std::size_t i = 0; i < candidates.size(); ++i) {
    if (!candidates[i].open || !suits(candidates[i])) continue;
    chosen.push_back(candidates[i]);
    places.push_back(i);
  }
  const auto pick = Pick(chosen, random);
  return pick ? std::optional(places[*pick]) : std::nullopt;
}

// Who has the model, else who was asked for it, else who has the fewest. `among(suits)` chooses.
template <class Among>
std::optional<std::size_t> ForModel(std::span<const Candidate> candidates, bool patient,
                                    Among among) {
  for (const Affinity wanted : {Affinity::kHas, Affinity::kAsked}) {
    const auto suits = [wanted](const Candidate& c) { return c.affinity == wanted; };
    if (const auto pick = among(suits)) return pick;
    if (patient && wanted == Affinity::kHas && std::ranges::any_of(candidates, suits)) {
      return std::nullopt;
    }
  }
  std::uint32_t fewest = std::numeric_limits<std::uint32_t>::max();
  for (const Candidate& c : candidates) {
    if (c.open) fewest = std::min(fewest, c.models);
  }
  return among([fewest](const Candidate& c) { return c.models == fewest; });
}

}  // namespace

std::optional<std::size_t> Pick(std::span<const Candidate> candidates, std::uint64_t random) {
  const std::size_t n = candidates.size();
  if (n < 2) return LeastLoaded(candidates);
  const std::size_t first = (random & 0xffffffffu) % n;
  // A second draw over the others: never the first again.
  const std::size_t step = 1 + (random >> 32u) % (n - 1);
  const std::size_t second = (first + step) % n;
  const Candidate& a = candidates[first];
  const Candidate& b = candidates[second];
  if (a.open && (!b.open || a.ongoing <= b.ongoing)) return first;
  if (b.open) return second;
  return LeastLoaded(candidates);
}

std::optional<std::size_t> PickForModel(std::span<const Candidate> candidates, bool patient,
                                        std::uint64_t random) {
  return ForModel(candidates, patient,
                  [&](auto suits) { return PickAmong(candidates, random, suits); });
}

std::optional<std::size_t> PickNear(std::span<const Candidate> candidates, std::uint64_t random) {
  const auto near = PickAmong(candidates, random, [](const Candidate& c) { return c.near; });
  return near ? near : Pick(candidates, random);
}

std::optional<std::size_t> PickInTurn(std::span<const Candidate> candidates, std::size_t last) {
  return NextAmong(candidates, last, [](const Candidate&) { return true; });
}

std::optional<std::size_t> PickInTurnForModel(std::span<const Candidate> candidates, bool patient,
                                              std::size_t last) {
  return ForModel(candidates, patient,
                  [&](auto suits) { return NextAmong(candidates, last, suits); });
}

}  // namespace penstock::route
