// Which replica gets the next request. Pure.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <span>

namespace penstock::route {

// What a replica has to do with the model that a request asks for.
enum class Affinity : std::uint8_t {
  kNone,
  kAsked,  // a request for it is under way there: it will be loaded if it is not
  kHas,    // it is loaded there, or being loaded
};

// What a router knows of one replica.
struct Candidate {
  std::uint32_t ongoing = 0;  // requests that it runs, as last heard, and those sent since
  bool open = false;          // reachable, not leaving, and not full as far as is known
  bool near = false;          // on the caller's node; PickNear looks at it
  // For a request that asks for a model; PickForModel looks at them.
  Affinity affinity = Affinity::kNone;  // kNone when it is leaving or cannot be reached
  std::uint32_t models = 0;             // how many models are loaded there or being loaded
};

// The less loaded of two different replicas drawn at random (Mitzenmacher, "The power of two
// choices", as Ray Serve's default router does); of the two, the one drawn first on a tie. When
// neither draw is open, the least loaded of all that are, the lowest index on a tie. nullopt
// when none is open. `random` is any 64 bits; the same ones give the same answer.
std::optional<std::size_t> Pick(std::span<const Candidate> candidates, std::uint64_t random);

// The same for a request that asks for a model: Pick among the open replicas that have it, else
// among those that were asked for it, else among those with the fewest models. nullopt when none
// is open, and for a `patient` request also while every replica that has its model is full: to
// wait a little is cheaper than to load it once more.
std::optional<std::size_t> PickForModel(std::span<const Candidate> candidates, bool patient,
                                        std::uint64_t random);

// Pick among the open replicas that are near, else among all.
std::optional<std::size_t> PickNear(std::span<const Candidate> candidates, std::uint64_t random);

// Before the first turn.
inline constexpr std::size_t kNoTurn = std::numeric_limits<std::size_t>::max();

// One after the other: the first open one behind `last`, which had the turn before. nullopt when
// none is open.
std::optional<std::size_t> PickInTurn(std::span<const Candidate> candidates, std::size_t last);

// The same with PickForModel's preferences.
std::optional<std::size_t> PickInTurnForModel(std::span<const Candidate> candidates, bool patient,
                                              std::size_t last);

}  // namespace penstock::route
