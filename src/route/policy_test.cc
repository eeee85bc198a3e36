#include "route/policy.h"

#include <gtest/gtest.h>

#include <array>
#include <set>
#include <string>
#include <vector>

namespace penstock::route {
namespace {

using Kind = RequestRouterSpec::Kind;

const std::vector<std::string> kNames{"a", "b", "c", "d"};

Policy Of(Kind kind, int fallbacks = 2) {
  Policy policy;
  policy.Adopt(kind, 100, fallbacks, kNames);
  return policy;
}

std::vector<Candidate> AllOpen() { return std::vector<Candidate>(4, {.open = true}); }

TEST(RoundRobin, TakesOneAfterTheOther) {
  Policy policy = Of(Kind::kRoundRobin);
  const auto candidates = AllOpen();
  for (std::size_t i = 0; i < 12; ++i) EXPECT_EQ(policy.Choose(candidates, {}, i * 77), i % 4);
}

TEST(RoundRobin, PassesOverWhoIsFullAndWaitsWhenAllAre) {
  Policy policy = Of(Kind::kRoundRobin);
  auto candidates = AllOpen();
  candidates[1].open = false;
  for (const std::size_t expected : {0u, 2u, 3u, 0u, 2u}) {
    EXPECT_EQ(policy.Choose(candidates, {}, 0), expected);
  }
  EXPECT_EQ(policy.Choose(std::vector<Candidate>(4), {}, 0), std::nullopt);
  EXPECT_EQ(policy.Choose(candidates, {}, 0), 3u) << "who had to wait took nobody's turn";
}

TEST(RoundRobin, GoesRoundThoseThatHaveTheModelWithATurnOfItsOwn) {
  Policy policy = Of(Kind::kRoundRobin);
  auto candidates = AllOpen();
  candidates[1].affinity = candidates[3].affinity = Affinity::kHas;
  for (const std::size_t expected : {1u, 3u, 1u, 3u}) {
    EXPECT_EQ(policy.Choose(candidates, {.model = "m"}, 0), expected);
  }
  EXPECT_EQ(policy.Choose(AllOpen(), {}, 0), 0u);
  candidates[1].open = candidates[3].open = false;
  EXPECT_EQ(policy.Choose(candidates, {.model = "m", .patient = true}, 0), std::nullopt);
  EXPECT_EQ(policy.Choose(candidates, {.model = "m"}, 0), 0u);
}

TEST(ConsistentHash, AKeyStaysWhereItIsAndFallsBackInOrder) {
  Policy policy = Of(Kind::kConsistentHash);
  const Wish wish{.point = HashPoint("session")};
  auto candidates = AllOpen();
  std::set<std::size_t> used;
  for (int rank = 0; rank < 3; ++rank) {
    const auto place = policy.Choose(candidates, wish, 5);
    ASSERT_TRUE(place);
    for (std::uint64_t random = 0; random < 10; ++random) {
      candidates[*place].ongoing += 10;  // load does not matter, only room
      EXPECT_EQ(policy.Choose(candidates, wish, random), place);
    }
    EXPECT_TRUE(used.insert(*place).second);
    candidates[*place].open = false;
  }
  EXPECT_EQ(policy.Choose(candidates, wish, 5), std::nullopt) << "the fourth is no fallback";
}

TEST(ConsistentHash, WithoutFallbacksItWaits) {
  Policy policy = Of(Kind::kConsistentHash, 0);
  auto candidates = AllOpen();
  const auto place = policy.Choose(candidates, {.point = 1}, 0);
  candidates[*place].open = false;
  EXPECT_EQ(policy.Choose(candidates, {.point = 1}, 0), std::nullopt);
}

TEST(ConsistentHash, ChangesOfReplicasAndOfPointsAreAdopted) {
  Policy policy = Of(Kind::kConsistentHash);
  policy.Adopt(Kind::kConsistentHash, 100, 2, {"x"});
  EXPECT_EQ(policy.Choose(std::vector<Candidate>(1, {.open = true}), {.point = 9}, 0), 0u);
  policy.Adopt(Kind::kRoundRobin, 100, 2, kNames);
  EXPECT_EQ(policy.Choose(AllOpen(), {.point = 9}, 0), 0u);
  EXPECT_EQ(policy.Choose(AllOpen(), {.point = 9}, 0), 1u);
}

TEST(Custom, BeforeItHasSpokenARequestWaits) {
  EXPECT_EQ(Of(Kind::kCustom).Choose(AllOpen(), {}, 0), std::nullopt);
}

TEST(Custom, TheLeastLoadedOpenOneOfTheFirstGroupThatHasOne) {
  Policy policy = Of(Kind::kCustom);
  auto candidates = AllOpen();
  candidates[2].ongoing = 4;
  candidates[3].ongoing = 3;
  const Ranking told{{}, {"c", "d", "gone"}, {"a"}};
  EXPECT_EQ(policy.Choose(candidates, {.told = &told}, 0), 3u);
  candidates[3].open = false;
  EXPECT_EQ(policy.Choose(candidates, {.told = &told}, 0), 2u);
  candidates[2].open = false;
  EXPECT_EQ(policy.Choose(candidates, {.told = &told}, 0), 0u);
  candidates[0].open = false;
  EXPECT_EQ(policy.Choose(candidates, {.told = &told}, 0), std::nullopt) << "b was not named";
}

TEST(PowerOfTwoChoices, NearOnesComeFirstWhenThatIsWanted) {
  Policy policy = Of(Kind::kPowerOfTwoChoices);
  auto candidates = AllOpen();
  candidates[2] = {.ongoing = 9, .open = true, .near = true};
  EXPECT_EQ(policy.Choose(candidates, {.near = true}, 1), 2u);
  EXPECT_NE(policy.Choose(candidates, {}, 1), 2u);
  candidates[2].open = false;
  EXPECT_NE(policy.Choose(candidates, {.near = true}, 1), std::nullopt);
}

TEST(BackoffAfter, IsNothingThenDoublesUpToItsBound) {
  std::vector<double> seconds;
  for (int attempt = 1; attempt <= 8; ++attempt) {
    seconds.push_back(ToSeconds(BackoffAfter(attempt, 0.025, 2, 0.5)));
  }
  EXPECT_EQ(seconds, (std::vector<double>{0, 0.025, 0.05, 0.1, 0.2, 0.4, 0.5, 0.5}));
  EXPECT_EQ(ToSeconds(BackoffAfter(1'000'000, 1, 1e300, 3)), 3);
}

}  // namespace
}  // namespace penstock::route
