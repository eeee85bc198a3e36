#include "route/pick.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
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
  const std::array<Candidate, 2> candidates{
      {{.ongoing = 5, .open = true}, {.ongoing = 4, .open = true}}};
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
  const auto candidates = *rc::gen::container<std::vector<Candidate>>(
      rc::gen::build<Candidate>(rc::gen::set(&Candidate::ongoing, rc::gen::inRange(0u, 10u)),
                                rc::gen::set(&Candidate::open)));
  bool any = false;
  for (const Candidate& candidate : candidates) any = any || candidate.open;
  const auto pick = Pick(candidates, random);
  RC_ASSERT(pick.has_value() == any);
  if (pick) RC_ASSERT(candidates[*pick].open);
}

// ---- for a model ----

constexpr auto kHas = Affinity::kHas;
constexpr auto kAsked = Affinity::kAsked;

TEST(PickForModel, WhoHasItComesFirstHoweverLoaded) {
  const std::array<Candidate, 3> candidates{
      {{.ongoing = 0, .open = true},
       {.ongoing = 4, .open = true, .affinity = kHas, .models = 9},
       {.ongoing = 0, .open = true, .affinity = kAsked}}};
  std::uint64_t state = 1;
  for (int i = 0; i < 50; ++i) {
    EXPECT_EQ(PickForModel(candidates, true, Next(state)), 1u);
    EXPECT_EQ(PickForModel(candidates, false, Next(state)), 1u);
  }
}

TEST(PickForModel, OfThoseThatHaveItTheLessLoaded) {
  const std::array<Candidate, 3> candidates{{{.ongoing = 3, .open = true, .affinity = kHas},
                                             {.ongoing = 0, .open = true},
                                             {.ongoing = 2, .open = true, .affinity = kHas}}};
  std::uint64_t state = 1;
  for (int i = 0; i < 50; ++i) EXPECT_EQ(PickForModel(candidates, true, Next(state)), 2u);
}

TEST(PickForModel, WhileWhoHasItIsFullThePatientWaitAndOthersDoNot) {
  const std::array<Candidate, 3> candidates{
      {{.ongoing = 5, .open = false, .affinity = kHas, .models = 1},
       {.ongoing = 1, .open = true, .models = 2},
       {.ongoing = 4, .open = true, .models = 1}}};
  EXPECT_EQ(PickForModel(candidates, true, 7), std::nullopt);
  EXPECT_EQ(PickForModel(candidates, false, 7), 2u);  // the fewest models
}

TEST(PickForModel, WhenNobodyHasItWhoWasAskedForIt) {
  const std::array<Candidate, 2> candidates{
      {{.ongoing = 0, .open = true},
       {.ongoing = 3, .open = true, .affinity = kAsked, .models = 2}}};
  EXPECT_EQ(PickForModel(candidates, true, 7), 1u);
}

TEST(PickForModel, WhoWasAskedAndIsFullIsNotWaitedFor) {
  const std::array<Candidate, 2> candidates{
      {{.ongoing = 0, .open = true}, {.ongoing = 3, .open = false, .affinity = kAsked}}};
  EXPECT_EQ(PickForModel(candidates, true, 7), 0u);
}

TEST(PickForModel, ElseTheFewestModelsAmongThoseThatAreOpen) {
  const std::array<Candidate, 4> candidates{{{.ongoing = 0, .open = true, .models = 3},
                                             {.ongoing = 9, .open = true, .models = 1},
                                             {.ongoing = 0, .open = false, .models = 0},
                                             {.ongoing = 8, .open = true, .models = 1}}};
  std::uint64_t state = 1;
  for (int i = 0; i < 50; ++i) EXPECT_EQ(PickForModel(candidates, true, Next(state)), 3u);
}

RC_GTEST_PROP(PickForModel, WithoutPatienceItChoosesAnOpenOneWheneverThereIsOne,
              (std::uint64_t random)) {
  const auto candidates = *rc::gen::container<std::vector<Candidate>>(rc::gen::build<Candidate>(
      rc::gen::set(&Candidate::ongoing, rc::gen::inRange(0u, 10u)), rc::gen::set(&Candidate::open),
      rc::gen::set(&Candidate::affinity,
                   rc::gen::element(Affinity::kNone, Affinity::kAsked, Affinity::kHas)),
      rc::gen::set(&Candidate::models, rc::gen::inRange(0u, 4u))));
  const bool any = std::ranges::any_of(candidates, &Candidate::open);
  const auto pick = PickForModel(candidates, false, random);
  RC_ASSERT(pick.has_value() == any);
  if (!pick) return;
  RC_ASSERT(candidates[*pick].open);
  // Patience changes only whether, not which, when there is something to choose.
  const auto patient = PickForModel(candidates, true, random);
  RC_ASSERT(!patient || patient == pick);
}

}  // namespace
}  // namespace penstock::route
