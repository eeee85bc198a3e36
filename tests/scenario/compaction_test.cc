// Nodes that are emptied because others have room for what they do.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "scenario/sim.h"

namespace penstock::scenario {
namespace {

using nlohmann::json;
using std::chrono::minutes;
using std::chrono::seconds;
using testing::ElementsAre;

class CompactionTest : public testing::Test {
 protected:
  CompactionTest() {
    for (const char* name : {"head", "a", "b"}) nodes.push_back(sim.AddNode(name, {{"CPU", 4}}));
  }

  // One that fills a node, on each node, and beside it what stays when those go.
  void FillAndThin() {
    for (const char* app : {"x", "y", "z"}) {
      sim.Deploy(app, {{"ray_actor_options", {{"num_cpus", 3}}}});
      sim.Run(seconds(1));
      sim.Deploy(std::string(app) + "1", json::object());
      sim.Run(seconds(1));
    }
    ASSERT_THAT(Counts(), ElementsAre(2, 2, 2));
    for (const char* app : {"x", "y", "z"}) sim.controller->Delete(app);
    sim.Settle();
    sim.Run(seconds(5));
    ASSERT_THAT(Counts(), ElementsAre(1, 1, 1));
  }

  // Replicas on each node.
  std::vector<int> Counts() const {
    std::vector<int> counts;
    for (const NodeId& node : nodes) {
      counts.push_back(sim.controller->state().cluster.Find(node)->resources.allocations());
    }
    return counts;
  }

  bool Drains(std::size_t node) const {
    return sim.controller->state().cluster.Find(nodes[node])->draining;
  }

  Sim sim{1, placement::Strategy::kPack};
  std::vector<NodeId> nodes;
};

TEST_F(CompactionTest, WhatIsSpreadThinComesTogetherOnTheHead) {
  FillAndThin();
  sim.Run(minutes(4));
  EXPECT_THAT(Counts(), ElementsAre(1, 1, 1)) << "not before all have been healthy for 5 minutes";
  int fewest = 1000;
  const TimePoint end = sim.clock.now + minutes(20);
  sim.RunUntil(
      [&] {
        int routed = 0;
        for (const auto& [id, route] : sim.routers.table)
          routed += static_cast<int>(route.replicas.size());
        fewest = std::min(fewest, routed);
        return sim.clock.now >= end || Counts() == std::vector<int>{3, 0, 0};
      },
      minutes(30));
  EXPECT_THAT(Counts(), ElementsAre(3, 0, 0));
  EXPECT_EQ(fewest, 3) << "each serves until another does in its place";
  sim.Run(minutes(10));
  EXPECT_FALSE(Drains(1) || Drains(2));
  EXPECT_EQ(sim.controller->next_wake(), kNever) << "what found nothing is not repeated";
}

TEST_F(CompactionTest, NothingMovesWhereItWouldNotFit) {
  for (const char* app : {"x", "y", "z"}) {
    sim.Deploy(app, {{"ray_actor_options", {{"num_cpus", 3}}}});
    sim.Run(seconds(1));
  }
  const int starts = sim.engine.starts;
  sim.Run(minutes(60));
  EXPECT_EQ(sim.engine.starts, starts);
  EXPECT_FALSE(Drains(1) || Drains(2));
}

TEST_F(CompactionTest, WhileAnyIsUnwellNothingMoves) {
  FillAndThin();
  sim.Deploy("waits", {{"ray_actor_options", {{"num_gpus", 1}}}});
  sim.Run(minutes(60));
  EXPECT_THAT(Counts(), ElementsAre(1, 1, 1));
}

TEST_F(CompactionTest, WhileAnotherNodeDrainsNothingMoves) {
  FillAndThin();
  const NodeId empty = sim.AddNode("c", {{"CPU", 4}});
  ASSERT_TRUE(sim.controller->Drain("c", std::nullopt).ok());
  sim.Settle();
  sim.Run(minutes(60));
  EXPECT_THAT(Counts(), ElementsAre(1, 1, 1));
}

TEST_F(CompactionTest, WhatTakesTooLongIsGivenUpAndTriedAgainLater) {
  FillAndThin();
  sim.engine.behaviours["d"].start = minutes(120);
  sim.Run(minutes(6));
  ASSERT_TRUE(Drains(1) || Drains(2));
  sim.Run(minutes(31));
  EXPECT_FALSE(Drains(1) || Drains(2));
  EXPECT_THAT(Counts(), ElementsAre(1, 1, 1));
  sim.engine.behaviours["d"].start = seconds(1);
  sim.Run(minutes(30));
  EXPECT_THAT(Counts(), ElementsAre(3, 0, 0));
}

TEST_F(CompactionTest, ADrainThatSomebodyAskedForIsNotTakenBack) {
  FillAndThin();
  sim.engine.behaviours["d"].start = seconds(30);
  sim.Run(minutes(5) + seconds(15));
  const std::size_t node = Drains(1) ? 1 : 2;
  ASSERT_TRUE(Drains(node));
  ASSERT_TRUE(sim.controller->Drain(node == 1 ? "a" : "b", std::nullopt).ok());
  sim.Settle();
  sim.Run(minutes(60));
  EXPECT_TRUE(Drains(node));
}

}  // namespace
}  // namespace penstock::scenario
