#include "route/pick.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <array>
#include <vector>

namespace penstock::route {
namespace {

// Enough of a generator for tests: splitmix64.
std::uint64_t Next(std::uint64_t& state) {
  std::uint64_t z = (state += 0x9e3779b97f4a7c15u);
  z = (z ^ (z >> 30u)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27u)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31u);
}

TEST(Pick, NothingOpenIsNothing) {
  EXPECT_EQ(Pick({}, 7), std::nullopt);
  const std::array<Candidate, 3> closed{};
  EXPECT_EQ(Pick(closed, 7), std::nullopt);
}

TEST(Pick, TheOnlyOpenOneIsFoundWhateverIsDrawn) {
  std::vector<Candidate> candidates(20);
  candidates[13].open = true;
  for (std::uint64_t random = 0; random < 1000; ++random) {
    EXPECT_EQ(Pick(candidates, random * 0x9e3779b97f4a7c15u), 13u);
  }
}

TEST(Pick, OfTwoTheLessLoaded) {
  const std::array<Candidate, 2> candidates{{{.ongoing = 5, .open = true}, {.ongoing = 4, .open = true}}};
  std::uint64_t state = 1;
  for (int i = 0; i < 100; ++i) EXPECT_EQ(Pick(candidates, Next(state)), 1u);
}

TEST(Pick, EqualsShareEvenly) {
  std::vector<Candidate> candidates(4, {.ongoing = 2, .open = true});
  std::array<int, 4> counts{};
  std::uint64_t state = 42;
  for (int i = 0; i < 40'000; ++i) ++counts[*Pick(candidates, Next(state))];
  for (const int count : counts) EXPECT_NEAR(count, 10'000, 500);
}

// The point of two choices: the most loaded replica stays close to the mean.
TEST(Pick, KeepsTheMostLoadedCloseToTheMean) {
  std::vector<Candidate> candidates(50, {.ongoing = 0, .open = true});
  std::uint64_t state = 3;
  for (int i = 0; i < 5000; ++i) ++candidates[*Pick(candidates, Next(state))].ongoing;
  for (const Candidate& candidate : candidates) EXPECT_LE(candidate.ongoing, 104u);
}

RC_GTEST_PROP(Pick, ChoosesAnOpenOneWheneverThereIsOne, (std::uint64_t random)) {
  const auto candidates = *rc::gen::container<std::vector<Candidate>>(rc::gen::build<Candidate>(
      rc::gen::set(&Candidate::ongoing, rc::gen::inRange(0u, 10u)),
      rc::gen::set(&Candidate::open)));
  bool any = false;
  for (const Candidate& candidate : candidates) any = any || candidate.open;
  const auto pick = Pick(candidates, random);
  RC_ASSERT(pick.has_value() == any);
  if (pick) RC_ASSERT(candidates[*pick].open);
}

}  // namespace
}  // namespace penstock::route
