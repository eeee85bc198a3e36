#include "placement/place.h"

#include <gtest/gtest.h>

namespace penstock::placement {
namespace {

using resources::Demand;
using resources::LabelSelector;
using resources::NodeSpec;
using resources::ResourceSet;

Quantity Q(double amount) { return *Quantity::FromDouble(amount); }

NodeSpec Node(const NodeId& id, ResourceSet total, resources::Labels labels = {}) {
  return {.id = id,
          .name = id,
          .ip = "127.0.0.1",
          .total = std::move(total),
          .labels = std::move(labels)};
}

Demand Ask(ResourceSet amounts, const std::map<std::string, std::string>& labels = {}) {
  return {.amounts = std::move(amounts), .selectors = {*LabelSelector::Parse(labels)}};
}

class PlaceTest : public testing::Test {
 protected:
  // Places and takes; the node's id, or the refusal's text.
  std::string Put(const Demand& demand) {
    const Decision decision = Place(cluster_, demand, policy_, state_);
    if (const auto* refused = std::get_if<Refused>(&decision)) return refused->Text();
    const auto& placed = std::get<Placed>(decision);
    cluster_.Find(placed.node)->resources.Take(placed.allocation);
    return placed.node;
  }

  Refused Refusal(const Demand& demand) {
    return std::get<Refused>(Place(cluster_, demand, policy_, state_));
  }

  Cluster cluster_;
  Policy policy_;
  PlacementState state_;
};

TEST_F(PlaceTest, SpreadGoesRoundTheNodesThatHaveRoom) {
  cluster_.Join(Node("a", {{"CPU", Q(2)}}));
  cluster_.Join(Node("b", {{"CPU", Q(1)}}));
  cluster_.Join(Node("c", {{"CPU", Q(2)}}));
  const Demand cpu = Ask({{"CPU", Q(1)}});
  std::string order;
  for (int i = 0; i < 5; ++i) order += Put(cpu);
  EXPECT_EQ(order, "abcac");
}

TEST_F(PlaceTest, SpreadSurvivesTheNodeItUsedLastLeaving) {
  cluster_.Join(Node("a", {{"CPU", Q(2)}}));
  cluster_.Join(Node("b", {{"CPU", Q(2)}}));
  EXPECT_EQ(Put(Ask({{"CPU", Q(1)}})), "a");
  EXPECT_EQ(Put(Ask({{"CPU", Q(1)}})), "b");
  cluster_.Leave("b");
  EXPECT_EQ(Put(Ask({{"CPU", Q(1)}})), "a");
}

TEST_F(PlaceTest, PackFillsTheNodeInUseThatItFitsBest) {
  policy_.strategy = Strategy::kPack;
  cluster_.Join(Node("big", {{"CPU", Q(8)}}));
  cluster_.Join(Node("small", {{"CPU", Q(2)}}));
  EXPECT_EQ(Put(Ask({{"CPU", Q(1)}})), "small") << "the idle node with the least left over";
  EXPECT_EQ(Put(Ask({{"CPU", Q(1)}})), "small");
  EXPECT_EQ(Put(Ask({{"CPU", Q(1)}})), "big");
}

TEST_F(PlaceTest, PackPrefersANodeInUseToABetterFittingIdleOne) {
  policy_.strategy = Strategy::kPack;
  cluster_.Join(Node("big", {{"CPU", Q(8)}, {"tag", Q(1)}}));
  cluster_.Join(Node("small", {{"CPU", Q(2)}}));
  EXPECT_EQ(Put(Ask({{"CPU", Q(1)}, {"tag", Q(1)}})), "big");
  EXPECT_EQ(Put(Ask({{"CPU", Q(2)}})), "big");
}

TEST_F(PlaceTest, PackComparesGpusBeforeCpusUnlessToldOtherwise) {
  policy_.strategy = Strategy::kPack;
  cluster_.Join(Node("gpu", {{"CPU", Q(2)}, {"GPU", Q(4)}, {"licence", Q(1)}}));
  cluster_.Join(Node("cpu", {{"CPU", Q(16)}, {"licence", Q(4)}}));
  EXPECT_EQ(Put(Ask({{"CPU", Q(1)}})), "cpu") << "keeps GPUs free";
  policy_.high_priority_resources = {"licence"};
  Cluster fresh = cluster_;
  fresh.Find("cpu")->resources = resources::NodeResources(fresh.Find("cpu")->resources.spec());
  cluster_ = fresh;
  EXPECT_EQ(Put(Ask({{"CPU", Q(1)}})), "gpu") << "leaves the fewest licences unused";
}

TEST_F(PlaceTest, LargestGoFirst) {
  const Demand gpu = Ask({{"GPU", Q(1)}});
  const Demand cpus = Ask({{"CPU", Q(9)}});
  const Demand memory = Ask({{"memory", Q(1e9)}});
  const Demand custom = Ask({{"widget", Q(3)}});
  EXPECT_TRUE(PlacesBefore(gpu, cpus, policy_));
  EXPECT_TRUE(PlacesBefore(cpus, memory, policy_));
  EXPECT_TRUE(PlacesBefore(memory, custom, policy_));
  EXPECT_FALSE(PlacesBefore(custom, custom, policy_));
  policy_.high_priority_resources = {"widget"};
  EXPECT_TRUE(PlacesBefore(custom, gpu, policy_));
}

TEST_F(PlaceTest, SelectorsAreTriedInOrder) {
  cluster_.Join(Node("a", {{"CPU", Q(1)}}, {{"zone", "1"}}));
  cluster_.Join(Node("b", {{"CPU", Q(1)}}, {{"zone", "2"}}));
  Demand demand = Ask({{"CPU", Q(1)}}, {{"zone", "2"}});
  demand.selectors.push_back(*LabelSelector::Parse({{"zone", "1"}}));
  EXPECT_EQ(Put(demand), "b");
  EXPECT_EQ(Put(demand), "a") << "the fallback";
}

TEST_F(PlaceTest, SelectorsAreHard) {
  cluster_.Join(Node("a", {{"CPU", Q(1)}}, {{"zone", "1"}}));
  const Refused refused = Refusal(Ask({{"CPU", Q(1)}}, {{"zone", "2"}}));
  EXPECT_EQ(refused.code, Refused::Code::kNeverFits);
  EXPECT_EQ(refused.Text(),
            "never_fits: nearest is node 'a': label selector zone=2 does not match");
}

TEST_F(PlaceTest, NeverANodeWhoseDevicesCannotHoldIt) {
  cluster_.Join(Node("a", {{"GPU", Q(2)}}));
  cluster_.Join(Node("b", {{"GPU", Q(1)}}));
  for (const char* expected : {"a", "b", "a"}) EXPECT_EQ(Put(Ask({{"GPU", Q(0.6)}})), expected);
  const Refused refused = Refusal(Ask({{"GPU", Q(0.6)}}));
  EXPECT_EQ(refused.code, Refused::Code::kFitsLater);
  EXPECT_EQ(refused.Text(),
            "fits_later: nearest is node 'a': needs 0.6 GPU, 0.8 of 2 free, at most 0.4 on one "
            "device; node 'b': needs 0.6 GPU, 0.4 of 1 free, at most 0.4 on one device");
}

TEST_F(PlaceTest, DeadAndDrainingNodesTakeNothing) {
  cluster_.Join(Node("a", {{"CPU", Q(4)}}));
  cluster_.Join(Node("b", {{"CPU", Q(4)}}));
  cluster_.Find("a")->alive = false;
  cluster_.Find("b")->draining = true;
  EXPECT_EQ(Put(Ask({{"CPU", Q(1)}})),
            "never_fits: nearest is node 'a': is dead; node 'b': is draining");
}

TEST_F(PlaceTest, TheNearestMissIsTheOneThatLacksLeast) {
  cluster_.Join(Node("far", {{"CPU", Q(1)}}));
  cluster_.Join(Node("near", {{"CPU", Q(3)}}));
  cluster_.Join(Node("label", {{"CPU", Q(9)}}, {{"zone", "2"}}));
  const Refused refused = Refusal(Ask({{"CPU", Q(4)}}, {{"zone", "!2"}}));
  EXPECT_EQ(refused.nearest, 1);
  EXPECT_EQ(refused.nodes[1].Text(), "needs 4 CPU, has 3");
}

TEST_F(PlaceTest, WhatTimeHealsIsNearerThanWhatItDoesNot) {
  cluster_.Join(Node("too_small", {{"CPU", Q(3)}}));
  cluster_.Join(Node("busy", {{"CPU", Q(4)}}));
  EXPECT_EQ(Put(Ask({{"CPU", Q(4)}})), "busy");
  const Refused refused = Refusal(Ask({{"CPU", Q(4)}}));
  EXPECT_EQ(refused.nearest, 1);
  EXPECT_EQ(refused.code, Refused::Code::kFitsLater);
  EXPECT_EQ(refused.nodes[1].Text(), "needs 4 CPU, 0 of 4 free");
}

TEST_F(PlaceTest, ANodeThatIsBusyButTooSmallAnywaySaysSo) {
  cluster_.Join(Node("a", {{"CPU", Q(2)}, {"widget", Q(1)}}));
  EXPECT_EQ(Put(Ask({{"CPU", Q(2)}})), "a");
  const Refused refused = Refusal(Ask({{"CPU", Q(1)}, {"widget", Q(2)}}));
  EXPECT_EQ(refused.code, Refused::Code::kNeverFits);
  EXPECT_EQ(refused.nodes[0].Text(), "needs 2 widget, has 1");
}

TEST_F(PlaceTest, ImpossibleAmountsSayWhatRaySays) {
  cluster_.Join(Node("a", {{"GPU", Q(4)}}));
  const Refused refused = Refusal(Ask({{"GPU", Q(1.5)}}));
  EXPECT_EQ(refused.nodes[0].Text(),
            "GPU resource quantities >1 must be whole numbers. The specified quantity 1.5 is "
            "invalid.");
}

TEST_F(PlaceTest, WholeDevicesSayHowManyAreFree) {
  cluster_.Join(Node("a", {{"GPU", Q(2)}}));
  Put(Ask({{"GPU", Q(0.5)}}));
  EXPECT_EQ(Refusal(Ask({{"GPU", Q(2)}})).nodes[0].Text(),
            "needs 2 GPU, 1.5 of 2 free, 1 of them whole");
}

TEST_F(PlaceTest, AnEmptyClusterSaysSo) {
  EXPECT_EQ(Put(Ask({{"CPU", Q(1)}})), "never_fits: there is no node");
}

TEST(Cluster, SumsTheLiving) {
  Cluster cluster;
  cluster.Join(Node("a", {{"CPU", Q(2)}, {"GPU", Q(1)}}));
  cluster.Join(Node("b", {{"CPU", Q(3)}}));
  auto& a = cluster.Find("a")->resources;
  a.Take(std::get<resources::Allocation>(a.Fit({{"GPU", Q(0.25)}})));
  EXPECT_EQ(cluster.Total(), (ResourceSet{{"CPU", Q(5)}, {"GPU", Q(1)}}));
  EXPECT_EQ(cluster.Free(), (ResourceSet{{"CPU", Q(5)}, {"GPU", Q(0.75)}}));
  cluster.Find("b")->alive = false;
  EXPECT_EQ(cluster.Total(), (ResourceSet{{"CPU", Q(2)}, {"GPU", Q(1)}}));
}

TEST(Cluster, TheDeadStayKnownForAWhile) {
  Cluster cluster;
  for (std::size_t i = 0; i < Cluster::kMostDead + 2; ++i) {
    cluster.Join(Node(std::to_string(i), {{"CPU", Q(1)}}));
  }
  for (std::size_t i = 0; i < Cluster::kMostDead + 1; ++i) cluster.Leave(std::to_string(i));
  EXPECT_EQ(cluster.Find("0"), nullptr);
  ASSERT_NE(cluster.Find("1"), nullptr);
  EXPECT_FALSE(cluster.Find("1")->alive);
  EXPECT_EQ(cluster.nodes().size(), Cluster::kMostDead + 1);
  EXPECT_EQ(cluster.Total(), (ResourceSet{{"CPU", Q(1)}}));
}

TEST(Cluster, ANodeMayComeBack) {
  Cluster cluster;
  cluster.Join(Node("a", {{"CPU", Q(1)}}));
  auto& before = cluster.Find("a")->resources;
  before.Take(std::get<resources::Allocation>(before.Fit({{"CPU", Q(1)}})));
  cluster.Leave("a");
  cluster.Join(Node("a", {{"CPU", Q(2)}}));
  EXPECT_EQ(cluster.nodes().size(), 1u);
  EXPECT_EQ(cluster.Free(), (ResourceSet{{"CPU", Q(2)}}));
  for (std::size_t i = 0; i < Cluster::kMostDead + 1; ++i) {
    cluster.Join(Node("b", {}));
    cluster.Leave("b");
  }
  EXPECT_TRUE(cluster.Find("a")->alive);
}

TEST(ClusterDeathTest, IdsAreUnique) {
  Cluster cluster;
  cluster.Join(Node("a", {}));
  EXPECT_DEATH(cluster.Join(Node("a", {})), "broken invariant");
  EXPECT_DEATH(cluster.Leave("b"), "broken invariant");
  cluster.Leave("a");
  EXPECT_DEATH(cluster.Leave("a"), "broken invariant");
}

}  // namespace
}  // namespace penstock::placement
