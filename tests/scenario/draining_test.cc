// Nodes that are taken out of use: what serves there goes on until it does elsewhere.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "scenario/sim.h"

namespace penstock::scenario {
namespace {

using control::Replica;
using control::ReplicaState;
using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::HasSubstr;

struct World {
  World() { sim.engine.behaviours["d"].start = seconds(1); }

  int On(const NodeId& node) const {
    int there = 0;
    for (const Replica& replica : sim.Find("a")->replicas) there += replica.node == node ? 1 : 0;
    return there;
  }

  // Until it is settled; the fewest that requests were sent to meanwhile.
  int Settled() {
    sim.Run(milliseconds(1));
    int fewest = 1000;
    EXPECT_TRUE(sim.RunUntil([&] {
      const auto& routed = sim.routers.table.at({"a", "d"}).replicas;
      fewest = std::min(fewest, static_cast<int>(routed.size()));
      return sim.Running("a") == sim.Find("a")->target_replicas &&
             sim.Find("a")->replicas.size() == routed.size();
    }));
    return fewest;
  }

  Sim sim;
  NodeId head = sim.AddNode("head", {{"CPU", 4}});
  NodeId other = sim.AddNode("other", {{"CPU", 4}});
};

TEST(Draining, ReplicasServeUntilOthersDoInTheirPlace) {
  World w;
  w.sim.Deploy("a", {{"num_replicas", 4}});
  w.sim.Run(seconds(2));
  ASSERT_EQ(w.On(w.other), 2);
  bool empty = false;
  ASSERT_TRUE(w.sim.controller->Drain("other", std::nullopt).ok());
  w.sim.controller->WaitDrained(w.other, [&](const Status& status) { empty = status.ok(); });
  w.sim.Run(milliseconds(500));
  int migrating = 0;
  for (const Replica& replica : w.sim.Find("a")->replicas) {
    migrating += replica.state == ReplicaState::kPendingMigration ? 1 : 0;
  }
  EXPECT_EQ(migrating, 2);
  EXPECT_EQ(w.sim.AppStatus("a"), "RUNNING");
  EXPECT_FALSE(empty);
  EXPECT_EQ(w.Settled(), 4);
  EXPECT_EQ(w.On(w.other), 0);
  w.sim.Run(milliseconds(1));
  EXPECT_TRUE(empty);
  w.sim.CheckInvariants();
}

TEST(Draining, WithoutRoomElsewhereTheyStayUntilTheDeadline) {
  World w;
  w.sim.Deploy("a", {{"num_replicas", 8}, {"graceful_shutdown_timeout_s", 5}});
  w.sim.Run(seconds(2));
  ASSERT_EQ(w.On(w.other), 4);
  ASSERT_TRUE(w.sim.controller->Drain(w.other, seconds(30)).ok());
  w.sim.Run(seconds(24));
  EXPECT_EQ(w.sim.routers.table.at({"a", "d"}).replicas.size(), 8u);
  w.sim.Run(seconds(2));
  EXPECT_EQ(w.sim.routers.table.at({"a", "d"}).replicas.size(), 4u)
      << "five seconds before the end they finish what they have";
  EXPECT_EQ(w.sim.controller->state().cluster.Find(w.other)->resources.allocations(), 0);
}

TEST(Draining, ANodeInUseAgainKeepsWhatIsThere) {
  World w;
  w.sim.Deploy("a", {{"num_replicas", 8}});
  w.sim.Run(seconds(2));
  const auto before = w.sim.Replicas("a");
  ASSERT_TRUE(w.sim.controller->Drain("other", std::nullopt).ok());
  Status waited;
  w.sim.controller->WaitDrained("other", [&](const Status& status) { waited = status; });
  w.sim.Run(seconds(1));
  ASSERT_TRUE(w.sim.controller->Undrain("other").ok());
  w.sim.Run(seconds(2));
  EXPECT_EQ(w.sim.Replicas("a"), before);
  EXPECT_EQ(w.sim.Running("a"), 8);
  EXPECT_EQ(waited.code(), Code::kFailedPrecondition);
}

TEST(Draining, GoesOnWithANewController) {
  World w;
  w.sim.Deploy("a", {{"num_replicas", 8}, {"graceful_shutdown_timeout_s", 5}});
  w.sim.Run(seconds(2));
  ASSERT_TRUE(w.sim.controller->Drain(w.other, seconds(30)).ok());
  w.sim.Run(seconds(10));
  w.sim.RestartController();
  w.sim.Run(seconds(10));
  EXPECT_TRUE(w.sim.controller->state().cluster.Find(w.other)->draining);
  EXPECT_EQ(w.sim.routers.table.at({"a", "d"}).replicas.size(), 8u);
  w.sim.Run(seconds(7));
  EXPECT_EQ(w.sim.routers.table.at({"a", "d"}).replicas.size(), 4u);
  w.sim.engine.KillNode(w.other);
  w.sim.controller->Settle();
  const auto kept = *w.sim.store.Load();
  for (const auto& [key, value] : kept) EXPECT_FALSE(key.starts_with("drain/"));
}

TEST(Draining, GangsLeaveAsAWhole) {
  World w;
  w.sim.Deploy(
      "a", {{"num_replicas", 2},
            {"gang_scheduling_config", {{"gang_size", 2}, {"gang_placement_strategy", "SPREAD"}}}});
  w.sim.Run(seconds(2));
  ASSERT_EQ(w.On(w.other), 1);
  ASSERT_TRUE(w.sim.controller->Drain("other", std::nullopt).ok());
  EXPECT_EQ(w.Settled(), 2);
  EXPECT_EQ(w.On(w.head), 2);
}

TEST(Draining, AnUpdateMeanwhileEndsOnTheOthers) {
  World w;
  w.sim.Deploy("a", {{"num_replicas", 4}});
  w.sim.Run(seconds(2));
  ASSERT_TRUE(w.sim.controller->Drain("other", std::nullopt).ok());
  w.sim.Run(milliseconds(500));
  w.sim.Deploy("a", {{"num_replicas", 4}}, "v2");
  EXPECT_GE(w.Settled(), 3);
  EXPECT_EQ(w.On(w.other), 0);
  for (const Replica& replica : w.sim.Find("a")->replicas) EXPECT_EQ(replica.code_version, "v2");
}

TEST(Draining, OfWhatIsNotThereIsRefused) {
  World w;
  EXPECT_THAT(w.sim.controller->Drain("nowhere", std::nullopt).message(),
              HasSubstr("node: there is no 'nowhere', nodes are 'head', 'other'"));
  EXPECT_EQ(w.sim.controller->Drain("other", seconds(-1)).code(), Code::kInvalidArgument);
  EXPECT_EQ(w.sim.controller->Undrain("nowhere").code(), Code::kNotFound);
}

// One replica is less than the new version's gang, and stayed for ever.
TEST(Draining, OnesLeaveWhenGangsTakeTheirPlace) {
  World w;
  w.sim.Deploy("a", {{"num_replicas", 2}});
  w.sim.Run(seconds(2));
  ASSERT_EQ(w.On(w.other), 1);
  ASSERT_TRUE(w.sim.controller->Drain(w.other, std::nullopt).ok());
  w.sim.Deploy("a", {{"num_replicas", 2}, {"gang_scheduling_config", {{"gang_size", 2}}}}, "v2");
  EXPECT_TRUE(w.sim.RunUntil([&] { return w.sim.AppStatus("a") == "RUNNING"; }));
  EXPECT_EQ(w.On(w.other), 0);
}

}  // namespace
}  // namespace penstock::scenario
