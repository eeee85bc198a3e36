// Which replica gets the next request. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

namespace penstock::route {

// What a router knows of one replica.
struct Candidate {
  std::uint32_t ongoing = 0;  // requests that it runs, as last heard, and those sent since
  bool open = false;          // reachable, not leaving, and not full as far as is known
};

// The less loaded of two different replicas drawn at random (Mitzenmacher, "The power of two
// choices", as Ray Serve's default router does); of the two, the one drawn first on a tie. When
// neither draw is open, the least loaded of all that are, the lowest index on a tie. nullopt
// when none is open. `random` is any 64 bits; the same ones give the same answer.
std::optional<std::size_t> Pick(std::span<const Candidate> candidates, std::uint64_t random);

}  // namespace penstock::route
