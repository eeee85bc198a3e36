#include "resources/resource_set.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

namespace penstock::resources {
namespace {

Quantity Q(double amount) { return *Quantity::FromDouble(amount); }

TEST(ResourceSet, ZeroIsAbsence) {
  ResourceSet set{{"CPU", Q(1)}, {"GPU", Q(0)}};
  EXPECT_EQ(set, (ResourceSet{{"CPU", Q(1)}}));
  set.Set("CPU", Quantity());
  EXPECT_TRUE(set.empty());
  EXPECT_EQ(set.Get("CPU"), Quantity());
}

TEST(ResourceSet, NamesTheFirstShortageInAlphabeticalOrder) {
  const ResourceSet have{{"CPU", Q(4)}, {"GPU", Q(1)}, {"widget", Q(2)}};
  EXPECT_EQ(have.FirstShortage({{"CPU", Q(4)}, {"GPU", Q(1)}}), std::nullopt);
  EXPECT_EQ(have.FirstShortage({{"widget", Q(3)}, {"GPU", Q(2)}}), "GPU");
  EXPECT_EQ(have.FirstShortage({{"unobtainium", Q(0.0001)}}), "unobtainium");
}

TEST(ResourceSet, SubtractingAllOfIsLeavesNothing) {
  ResourceSet set{{"CPU", Q(0.3)}, {"memory", Q(1024)}};
  set.Subtract({{"CPU", Q(0.1)}});
  set.Subtract({{"CPU", Q(0.2)}, {"memory", Q(1024)}});
  EXPECT_TRUE(set.empty());
}

TEST(ResourceSetDeathTest, SubtractingMoreThanThereIsAborts) {
  ResourceSet set{{"CPU", Q(1)}};
  EXPECT_DEATH(set.Subtract({{"CPU", Q(1.0001)}}), "broken invariant");
}

TEST(ResourceSet, PrintsLikeRaysMessages) {
  const ResourceSet set{{"GPU", Q(0.5)}, {"CPU", Q(1)}};
  EXPECT_EQ(set.ToString(), R"({"CPU": 1.0, "GPU": 0.5})");
  EXPECT_EQ(ResourceSet().ToString(), "{}");
}

RC_GTEST_PROP(ResourceSet, AddUndoesSubtract,
              (const std::map<std::string, std::uint16_t>& amounts)) {
  ResourceSet set;
  for (const auto& [name, steps] : amounts) set.Set(name, Quantity::Raw(steps));
  const ResourceSet before = set;
  ResourceSet half;
  for (const auto& [name, steps] : amounts) half.Set(name, Quantity::Raw(steps / 2));
  set.Subtract(half);
  set.Add(half);
  RC_ASSERT(set == before);
}

}  // namespace
}  // namespace penstock::resources
