#include "route/pick.h"

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

}  // namespace penstock::route
