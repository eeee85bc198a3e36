// Who gets the room, and who makes it, when there is not enough for all.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "scenario/sim.h"

namespace penstock::scenario {
namespace {

using nlohmann::json;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;
using testing::HasSubstr;

class PrecedenceTest : public testing::Test {
 protected:
  PrecedenceTest() { sim.AddNode("head", {{"CPU", 4}}); }

  // Has `count` replicas for a while, and is guaranteed `least`.
  static json Elastic(int least, int count, int priority = 0) {
    return {{"priority", priority},
            {"autoscaling_config",
             {{"min_replicas", least}, {"initial_replicas", count}, {"max_replicas", count}}}};
  }

  // Deploys it, and waits until it has all that it wants.
  void Settle(const std::string& app, const json& options) {
    sim.Deploy(app, options);
    ASSERT_TRUE(sim.RunUntil([&] { return sim.AppStatus(app) == "RUNNING"; }));
  }

  Sim sim;
};

TEST_F(PrecedenceTest, WhatGoesBeyondAMinimumMakesRoomForAMinimum) {
  Settle("b", Elastic(1, 4));
  sim.Deploy("a", {{"num_replicas", 2}});
  sim.Run(milliseconds(1));
  EXPECT_EQ(sim.Find("b")->status.status, control::DeploymentStatus::kDownscaling);
  EXPECT_THAT(sim.Find("b")->status.message,
              HasSubstr("made room for deployment 'd' in application 'a', which has fewer replicas "
                        "than it is guaranteed."));
  const std::string waits = sim.Find("a")->replicas.front().pending_text;
  EXPECT_THAT(waits, HasSubstr("Room is kept for it on node 'head'"));
  EXPECT_THAT(waits,
              HasSubstr("A replica of deployment 'd' in application 'b' makes room for it."));
  sim.Run(seconds(2));
  EXPECT_EQ(sim.AppStatus("a"), "RUNNING");
  EXPECT_EQ(sim.Running("a"), 2);
  EXPECT_EQ(sim.Running("b"), 2);
  EXPECT_EQ(sim.AppStatus("b"), "RUNNING");
  EXPECT_EQ(sim.Find("b")->target_replicas, 2);
  sim.Run(minutes(1));
  EXPECT_EQ(sim.engine.starts, 6) << "nobody goes round in circles";
}

TEST_F(PrecedenceTest, NobodyIsShrunkBelowItsMinimum) {
  Settle("b", Elastic(1, 4));
  sim.Deploy("a", {{"num_replicas", 4}, {"priority", 1000}});
  sim.Run(minutes(1));
  EXPECT_EQ(sim.Running("a"), 3);
  EXPECT_EQ(sim.Running("b"), 1);
}

TEST_F(PrecedenceTest, AFixedSizeIsAMinimum) {
  Settle("b", {{"num_replicas", 4}});
  sim.Deploy("a", {{"priority", 1000}});
  sim.Run(minutes(1));
  EXPECT_EQ(sim.Running("a"), 0);
  EXPECT_EQ(sim.Running("b"), 4);
}

TEST_F(PrecedenceTest, BeyondTheMinimumThePriorityDecides) {
  Settle("b", Elastic(1, 4));
  sim.Deploy("a", Elastic(1, 3, 5));
  sim.Run(milliseconds(1));
  EXPECT_THAT(sim.Find("b")->status.message, HasSubstr("whose priority is 5."));
  sim.Run(minutes(1));
  EXPECT_EQ(sim.Running("a"), 3);
  EXPECT_EQ(sim.Running("b"), 1);
}

TEST_F(PrecedenceTest, OfTheSamePriorityItIsFirstComeFirstServed) {
  Settle("b", Elastic(1, 4));
  sim.Deploy("a", Elastic(1, 3));
  sim.Run(minutes(1));
  EXPECT_EQ(sim.Running("a"), 1) << "its minimum, and no more";
  EXPECT_EQ(sim.Running("b"), 3);
}

TEST_F(PrecedenceTest, AMinimumGoesBeforeAnyPriority) {
  Settle("b", Elastic(1, 4, 5));
  sim.Deploy("a", {{"num_replicas", 1}});
  sim.Run(minutes(1));
  EXPECT_EQ(sim.Running("a"), 1);
  EXPECT_EQ(sim.Running("b"), 3);
}

TEST_F(PrecedenceTest, TheLowestPriorityMakesRoomFirst) {
  Settle("b", Elastic(0, 2, 2));
  Settle("c", Elastic(0, 2, 1));
  Settle("a", {{"num_replicas", 1}, {"priority", 9}});
  EXPECT_EQ(sim.Running("b"), 2);
  EXPECT_EQ(sim.Running("c"), 1);
}

TEST_F(PrecedenceTest, RoomIsKeptUntilAllOfItIsThere) {
  Settle("b", Elastic(0, 4));
  sim.engine.behaviours["d"].drain = seconds(5);
  sim.Deploy("a", {{"ray_actor_options", {{"num_cpus", 3}}}});
  sim.Run(milliseconds(100));
  sim.Deploy("c", Elastic(0, 1));
  for (const auto& replica : sim.Find("b")->replicas) {
    if (replica.state != control::ReplicaState::kStopping) continue;
    sim.engine.Crash({{"b", "d"}, replica.unique});  // it leaves before the others
    break;
  }
  sim.Run(seconds(2));
  EXPECT_EQ(sim.Running("c"), 0);
  EXPECT_THAT(sim.Find("a")->replicas.front().pending_text,
              HasSubstr("Room is kept for it on node 'head'"))
      << "as long as it waits for the others";
  sim.Run(seconds(5));
  EXPECT_EQ(sim.Running("a"), 1);
  EXPECT_EQ(sim.Running("b"), 1);
}

TEST_F(PrecedenceTest, WhatIsFreeIsKeptToo) {
  Settle("b", {{"num_replicas", 3}});
  sim.engine.behaviours["d"].drain = seconds(5);
  sim.Deploy("b", {{"num_replicas", 2}});
  sim.Run(milliseconds(100));
  sim.Deploy("a", {{"ray_actor_options", {{"num_cpus", 2}}}});  // one is free, one becomes free
  sim.Deploy("c", Elastic(0, 1));
  sim.Run(seconds(2));
  EXPECT_EQ(sim.Running("c"), 0);
  EXPECT_THAT(
      sim.Find("c")->replicas.front().pending_text,
      HasSubstr("What is free on node 'head' is kept for deployment 'd' in application 'a'"));
  sim.Run(seconds(5));
  EXPECT_EQ(sim.Running("a"), 1);
}

TEST_F(PrecedenceTest, ASurgeMakesNobodyLeave) {
  Settle("b", Elastic(1, 2));
  Settle("a", {{"num_replicas", 2}, {"max_surge_percent", "auto"}, {"priority", 5}});
  sim.Deploy("a", {{"num_replicas", 2}, {"max_surge_percent", "auto"}, {"priority", 5}}, "v2");
  sim.Run(seconds(10));
  EXPECT_EQ(sim.AppStatus("a"), "RUNNING");
  EXPECT_EQ(sim.Running("b"), 2);
  EXPECT_EQ(sim.engine.starts, 6);
}

TEST_F(PrecedenceTest, WhoMadeRoomWaitsForItsLoadsSakeAndComesBack) {
  Settle("b", Elastic(1, 4));
  sim.Load("b", 0, 8);
  Settle("a", {{"num_replicas", 2}});
  sim.Run(minutes(1));
  EXPECT_EQ(sim.Find("b")->target_replicas, 4);
  EXPECT_EQ(sim.Find("b")->status.status, control::DeploymentStatus::kUpscaling);
  EXPECT_EQ(sim.Running("b"), 2);
  EXPECT_EQ(sim.Running("a"), 2);
  sim.controller->Delete("a");
  sim.Run(seconds(2));
  EXPECT_EQ(sim.Running("b"), 4);
}

TEST_F(PrecedenceTest, ANewPriorityRestartsNobodyAndCountsAtOnce) {
  Settle("b", Elastic(1, 4));
  sim.Deploy("a", Elastic(1, 3));
  sim.Run(seconds(2));
  ASSERT_EQ(sim.Running("a"), 1);
  const int starts = sim.engine.starts;
  sim.Deploy("b", Elastic(1, 4, -1));
  sim.Run(seconds(2));
  EXPECT_EQ(sim.Running("a"), 3);
  EXPECT_EQ(sim.Running("b"), 1);
  EXPECT_EQ(sim.engine.starts, starts + 2);
}

}  // namespace
}  // namespace penstock::scenario
