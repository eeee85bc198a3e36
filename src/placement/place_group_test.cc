#include "placement/place_group.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <map>
#include <set>
#include <string>
#include <vector>

namespace penstock::placement {
namespace {

using resources::Demand;
using resources::ResourceSet;
using testing::ElementsAre;
using testing::HasSubstr;

ResourceSet Amounts(const std::map<std::string, double>& amounts) {
  ResourceSet set;
  for (const auto& [name, amount] : amounts) set.Set(name, *Quantity::FromDouble(amount));
  return set;
}

class PlaceGroupTest : public testing::Test {
 protected:
  void Node(const std::string& name, const std::map<std::string, double>& total,
            const resources::Labels& labels = {}) {
    cluster.Join({.id = name, .name = name, .total = Amounts(total), .labels = labels});
  }

  // Where each bundle went, or the text of the refusal. Takes what was found.
  std::vector<std::string> Put(GroupStrategy strategy,
                               const std::vector<std::map<std::string, double>>& bundles) {
    GroupDemand group{.strategy = strategy};
    for (const auto& bundle : bundles) group.bundles.push_back({.amounts = Amounts(bundle)});
    return Put(group);
  }

  std::vector<std::string> Put(const GroupDemand& group) {
    const auto decision = PlaceGroup(cluster, group, policy, state);
    if (const auto* refused = std::get_if<GroupRefused>(&decision)) return {refused->Text()};
    std::vector<std::string> nodes;
    for (const Placed& bundle : std::get<GroupPlaced>(decision).bundles) {
      cluster.Find(bundle.node)->resources.Take(bundle.allocation);
      nodes.push_back(bundle.node);
    }
    return nodes;
  }

  Cluster cluster;
  Policy policy;
  PlacementState state;
};

TEST_F(PlaceGroupTest, PackTakesOneNodeWhereOneHasRoom) {
  Node("a", {{"CPU", 2}});
  Node("b", {{"CPU", 4}});
  EXPECT_THAT(Put(GroupStrategy::kPack, {{{"CPU", 2}}, {{"CPU", 2}}}), ElementsAre("b", "b"));
}

TEST_F(PlaceGroupTest, PackTakesSeveralNodesWhereNoneHasRoomForAll) {
  Node("a", {{"CPU", 2}});
  Node("b", {{"CPU", 3}});
  EXPECT_THAT(Put(GroupStrategy::kPack, {{{"CPU", 1}}, {{"CPU", 2}}, {{"CPU", 2}}}),
              ElementsAre("b", "a", "b"))
      << "the largest first, or the last would find no room";
}

TEST_F(PlaceGroupTest, StrictPackWaitsForOneNode) {
  Node("a", {{"CPU", 2}});
  Node("b", {{"CPU", 3}});
  EXPECT_THAT(Put(GroupStrategy::kStrictPack, {{{"CPU", 2}}, {{"CPU", 2}}}),
              ElementsAre(HasSubstr(
                  "never_fits: STRICT_PACK [{\"CPU\": 2.0}, {\"CPU\": 2.0}]: at most 1 of 2")));
  EXPECT_THAT(Put(GroupStrategy::kStrictPack, {{{"CPU", 1}}, {{"CPU", 2}}}), ElementsAre("b", "b"));
  EXPECT_THAT(Put(GroupStrategy::kStrictPack, {{{"CPU", 1}}, {{"CPU", 2}}}),
              ElementsAre(HasSubstr("fits_later: ")));
}

TEST_F(PlaceGroupTest, SpreadTakesANodeEachAsFarAsThatGoes) {
  Node("a", {{"CPU", 4}});
  Node("b", {{"CPU", 4}});
  EXPECT_THAT(Put(GroupStrategy::kSpread, {{{"CPU", 1}}, {{"CPU", 1}}, {{"CPU", 1}}}),
              ElementsAre("a", "b", "a"));
}

TEST_F(PlaceGroupTest, StrictSpreadFindsTheOnlyWay) {
  Node("a", {{"CPU", 4}, {"GPU", 1}});
  Node("b", {{"CPU", 4}});
  EXPECT_THAT(Put(GroupStrategy::kStrictSpread, {{{"CPU", 2}}, {{"GPU", 1}}}),
              ElementsAre("b", "a"));
  EXPECT_THAT(Put(GroupStrategy::kStrictSpread, {{{"CPU", 1}}, {{"CPU", 1}}, {{"CPU", 1}}}),
              ElementsAre(HasSubstr("never_fits: STRICT_SPREAD")));
}

TEST_F(PlaceGroupTest, BundlesDoNotShareADevice) {
  Node("a", {{"CPU", 8}, {"GPU", 2}});
  EXPECT_THAT(Put(GroupStrategy::kStrictPack, {{{"GPU", 0.6}}, {{"GPU", 0.6}}}),
              ElementsAre("a", "a"));
  EXPECT_THAT(Put(GroupStrategy::kPack, {{{"GPU", 0.4}}, {{"GPU", 0.5}}}),
              ElementsAre(HasSubstr("fits_later")));
}

TEST_F(PlaceGroupTest, LabelsOfEachBundleCount) {
  Node("a", {{"CPU", 4}}, {{"zone", "x"}});
  Node("b", {{"CPU", 4}}, {{"zone", "y"}});
  GroupDemand group;
  for (const char* zone : {"y", "x"}) {
    group.bundles.push_back({.amounts = Amounts({{"CPU", 1}}),
                             .selectors = {*resources::LabelSelector::Parse({{"zone", zone}})}});
  }
  EXPECT_THAT(Put(group), ElementsAre("b", "a"));
}

TEST_F(PlaceGroupTest, NodesThatDrainOrAreGoneTakeNothing) {
  Node("a", {{"CPU", 4}});
  Node("b", {{"CPU", 4}});
  cluster.Find("a")->draining = true;
  cluster.Leave("b");
  EXPECT_THAT(Put(GroupStrategy::kPack, {{{"CPU", 1}}}), ElementsAre(HasSubstr("never_fits")));
}

TEST_F(PlaceGroupTest, TheNextGroupBeginsBehindTheLast) {
  for (const char* name : {"a", "b", "c"}) Node(name, {{"CPU", 4}});
  EXPECT_THAT(Put(GroupStrategy::kPack, {{{"CPU", 1}}}), ElementsAre("a"));
  EXPECT_THAT(Put(GroupStrategy::kPack, {{{"CPU", 1}}}), ElementsAre("b"));
  policy.strategy = Strategy::kPack;
  state = {};
  EXPECT_THAT(Put(GroupStrategy::kPack, {{{"CPU", 1}}}), ElementsAre("a"));
  EXPECT_THAT(Put(GroupStrategy::kPack, {{{"CPU", 1}}}), ElementsAre("a"));
}

// Whether there is any way to lay whole bundles on nodes, all of them tried.
bool AnyWay(const std::vector<int>& bundles, std::vector<int> free, GroupStrategy strategy,
            std::size_t at, std::vector<int> used) {
  if (at == bundles.size()) return true;
  for (std::size_t node = 0; node < free.size(); ++node) {
    if (free[node] < bundles[at]) continue;
    if (strategy == GroupStrategy::kStrictSpread && used[node] > 0) continue;
    const bool elsewhere =
        std::any_of(used.begin(), used.end(), [&](const int& n) { return n > 0; }) &&
        used[node] == 0;
    if (strategy == GroupStrategy::kStrictPack && elsewhere) continue;
    free[node] -= bundles[at];
    ++used[node];
    if (AnyWay(bundles, free, strategy, at + 1, used)) return true;
    free[node] += bundles[at];
    --used[node];
  }
  return false;
}

// Small clusters of whole amounts: a group is placed whenever there is a way, as its strategy says,
// and a refusal says truly whether an empty cluster would do.
RC_GTEST_PROP(PlaceGroupProperty, FindsAWayWheneverThereIsOne, ()) {
  const auto totals =
      *rc::gen::container<std::vector<int>>(*rc::gen::inRange(1, 5), rc::gen::inRange(0, 6));
  const auto bundles =
      *rc::gen::container<std::vector<int>>(*rc::gen::inRange(1, 5), rc::gen::inRange(1, 5));
  const auto strategy = *rc::gen::element(GroupStrategy::kPack, GroupStrategy::kSpread,
                                          GroupStrategy::kStrictPack, GroupStrategy::kStrictSpread);
  Cluster cluster;
  std::vector<int> free;
  for (const int total : totals) {
    const std::string name = "n" + std::to_string(free.size());
    ResourceSet all;
    all.Set("GPU", Quantity::Units(total));
    cluster.Join({.id = name, .name = name, .total = all});
    const int taken = *rc::gen::inRange(0, total + 1);
    ResourceSet some;
    some.Set("GPU", Quantity::Units(taken));
    auto& node = cluster.Find(name)->resources;
    node.Take(std::get<resources::Allocation>(node.Fit(some)));
    free.push_back(total - taken);
  }
  GroupDemand group{.strategy = strategy};
  for (const int bundle : bundles) {
    Demand demand;
    demand.amounts.Set("GPU", Quantity::Units(bundle));
    group.bundles.push_back(demand);
  }
  PlacementState state;
  const auto decision = PlaceGroup(cluster, group, {}, state);
  const std::vector<int> unused(totals.size());
  const bool possible = AnyWay(bundles, free, strategy, 0, unused);
  RC_ASSERT(std::holds_alternative<GroupPlaced>(decision) == possible);
  if (!possible) {
    const bool ever = AnyWay(bundles, totals, strategy, 0, unused);
    RC_ASSERT(std::get<GroupRefused>(decision).code ==
              (ever ? Refused::Code::kFitsLater : Refused::Code::kNeverFits));
    return;
  }
  std::set<NodeId> nodes;
  for (const Placed& bundle : std::get<GroupPlaced>(decision).bundles) {
    RC_ASSERT(cluster.Find(bundle.node)->resources.Holds(bundle.allocation));
    cluster.Find(bundle.node)->resources.Take(bundle.allocation);
    nodes.insert(bundle.node);
  }
  if (strategy == GroupStrategy::kStrictPack) RC_ASSERT(nodes.size() == 1);
  if (strategy == GroupStrategy::kStrictSpread) RC_ASSERT(nodes.size() == bundles.size());
}

}  // namespace
}  // namespace penstock::placement
