#include "route/hash_ring.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace penstock::route {
namespace {

// Values of the reference implementation.
TEST(Murmur3, GivesWhatOthersGive) {
  EXPECT_EQ(Murmur3("", 0), (std::pair<std::uint64_t, std::uint64_t>{0, 0}));
  EXPECT_EQ(Murmur3("hello", 0),
            (std::pair<std::uint64_t, std::uint64_t>{0xcbd8a7b341bd9b02, 0x5b1e906a48ae1d19}));
  EXPECT_EQ(Murmur3("The quick brown fox jumps over the lazy dog", 0),
            (std::pair<std::uint64_t, std::uint64_t>{0xe34bbc7bbc071b6c, 0x7a433ca9c49a9347}));
}

TEST(HashRing, WithoutReplicasThereIsNoneAndOneHasEverything) {
  EXPECT_TRUE(HashRing().Clockwise(7, 3).empty());
  const std::vector<std::string> one{"a"};
  EXPECT_EQ(HashRing(one, 100).Clockwise(HashPoint("x"), 3), std::vector<std::size_t>{0});
}

TEST(HashRing, ManyKeysShareTheReplicas) {
  std::vector<std::string> names;
  for (int i = 0; i < 10; ++i) names.push_back("replica" + std::to_string(i));
  const HashRing ring(names, 100);
  std::map<std::size_t, int> counts;
  for (int key = 0; key < 20'000; ++key) {
    ++counts[ring.Clockwise(HashPoint("session" + std::to_string(key)), 1)[0]];
  }
  ASSERT_EQ(counts.size(), names.size());
  for (const auto& [place, count] : counts) {
    EXPECT_GT(count, 1000) << place;
    EXPECT_LT(count, 4000) << place;
  }
}

// Different names, as replicas have.
rc::Gen<std::vector<std::string>> Names() {
  return rc::gen::map(
      rc::gen::container<std::set<std::uint16_t>>(rc::gen::arbitrary<std::uint16_t>()),
      [](const std::set<std::uint16_t>& numbers) {
        std::vector<std::string> names;
        for (const auto n : numbers) names.push_back("r" + std::to_string(n));
        return names;
      });
}

std::vector<std::string> Ranked(const std::vector<std::string>& names, int nodes,
                                std::uint64_t point, std::size_t count) {
  std::vector<std::string> ranked;
  for (const std::size_t place : HashRing(names, nodes).Clockwise(point, count)) {
    ranked.push_back(names[place]);
  }
  return ranked;
}

RC_GTEST_PROP(HashRing, TheOrderInWhichReplicasAreListedMeansNothing,
              (std::uint64_t point, std::uint64_t seed)) {
  const auto names = *Names();
  const int nodes = *rc::gen::inRange(1, 20);
  auto other = names;
  std::ranges::sort(other, {}, [seed](const std::string& n) {
    return Murmur3(n, static_cast<std::uint32_t>(seed));
  });
  RC_ASSERT(Ranked(names, nodes, point, 3) == Ranked(other, nodes, point, 3));
}

RC_GTEST_PROP(HashRing, RanksAreDifferentAndAsManyAsAskedFor, (std::uint64_t point)) {
  const auto names = *Names();
  const auto count = *rc::gen::inRange<std::size_t>(0, 6);
  const auto ranked = Ranked(names, 7, point, count);
  RC_ASSERT(ranked.size() == std::min(count, names.size()));
  RC_ASSERT(std::set<std::string>(ranked.begin(), ranked.end()).size() == ranked.size());
}

// When a replica goes, only its own keys move, each to the one that was its fallback; read
// backwards: when one comes, it takes keys and no key moves between others.
RC_GTEST_PROP(HashRing, OnlyTheKeysOfWhoGoesMove, (std::uint64_t point)) {
  const auto names = *rc::gen::suchThat(Names(), [](const auto& n) { return n.size() >= 2; });
  const auto gone = names[*rc::gen::inRange<std::size_t>(0, names.size())];
  auto left = names;
  std::erase(left, gone);
  const auto before = Ranked(names, 20, point, 2);
  const auto after = Ranked(left, 20, point, 1);
  RC_ASSERT(after[0] == (before[0] == gone ? before[1] : before[0]));
}

}  // namespace
}  // namespace penstock::route
