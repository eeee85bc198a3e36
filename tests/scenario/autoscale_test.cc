// Autoscaling over hours, in milliseconds.
#include <gtest/gtest.h>

#include "scenario/sim.h"

namespace penstock::scenario {
namespace {

using control::Trigger;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

class AutoscaleTest : public testing::Test {
 protected:
  AutoscaleTest() { sim.AddNode("head", {{"CPU", 64}}); }

  void Deploy(nlohmann::json config) {
    sim.Deploy("a", {{"autoscaling_config", std::move(config)}});
    sim.Run(seconds(1));
  }

  int target() const { return sim.Find("a")->target_replicas; }

  Sim sim;
};

TEST_F(AutoscaleTest, FollowsTheLoadUpAfterThirtySecondsAndDownAfterTenMinutes) {
  sim.Deploy("a", {{"num_replicas", "auto"}});
  sim.Run(seconds(1));
  EXPECT_EQ(sim.Running("a"), 1);
  sim.Load("a", 0, 10);
  sim.Run(seconds(29));
  EXPECT_EQ(target(), 1);
  ASSERT_TRUE(sim.RunUntil([&] { return target() == 5; }, seconds(2)));
  EXPECT_EQ(sim.Find("a")->status.trigger, Trigger::kAutoscaling);
  EXPECT_EQ(sim.Find("a")->status.message, "Upscaling from 1 to 5 replicas.");
  EXPECT_EQ(sim.AppStatus("a"), "RUNNING") << "an autoscaling application stays RUNNING";
  sim.Run(seconds(1));
  EXPECT_EQ(sim.Running("a"), 5);
  EXPECT_EQ(sim.Find("a")->status.trigger, Trigger::kUpscaleCompleted);
  sim.Load("a", 0, 0);
  sim.Run(minutes(9));
  EXPECT_EQ(target(), 5);
  sim.Run(minutes(2));
  EXPECT_EQ(target(), 1);
  EXPECT_EQ(sim.Running("a"), 1);
}

TEST_F(AutoscaleTest, AQuietDeploymentCausesNoTicks) {
  Deploy({{"min_replicas", 1}, {"max_replicas", 3}});
  sim.Load("a", 0, 0);
  sim.Run(minutes(2));
  EXPECT_EQ(sim.controller->next_wake(), kNever);
}

TEST_F(AutoscaleTest, StartsWithMinThenInitial) {
  Deploy({{"min_replicas", 2}, {"max_replicas", 6}});
  EXPECT_EQ(sim.Running("a"), 2);
  sim.Deploy("b", {{"autoscaling_config",
                    {{"min_replicas", 1}, {"initial_replicas", 3}, {"max_replicas", 6}}}});
  sim.Run(seconds(1));
  EXPECT_EQ(sim.Running("b"), 3);
}

TEST_F(AutoscaleTest, SleepsAtZeroAndWakesAtOnceForARequest) {
  Deploy({{"min_replicas", 0}, {"max_replicas", 2}});
  EXPECT_EQ(sim.Running("a"), 0);
  EXPECT_EQ(sim.AppStatus("a"), "RUNNING");
  sim.Load("a", 1, 0);
  sim.Run(milliseconds(250));
  EXPECT_EQ(sim.Running("a"), 1);
}

// It was ready so soon after a decision that none followed until something else happened.
TEST_F(AutoscaleTest, ThatAReplicaIsReadyIsDecidedUpon) {
  sim.engine.behaviours["d"].start = milliseconds(40);
  sim.Deploy("a", {{"autoscaling_config",
                    {{"min_replicas", 0},
                     {"initial_replicas", 1},
                     {"max_replicas", 3},
                     {"downscale_delay_s", 2}}}});
  EXPECT_TRUE(sim.RunUntil([&] { return target() == 0; }));
}

TEST_F(AutoscaleTest, GoesToZeroThroughOne) {
  Deploy({{"min_replicas", 0},
          {"initial_replicas", 3},
          {"max_replicas", 3},
          {"downscale_delay_s", 60},
          {"downscale_to_zero_delay_s", 120}});
  sim.Load("a", 0, 0);
  sim.Run(seconds(62));
  EXPECT_EQ(target(), 1);
  sim.Run(seconds(115));
  EXPECT_EQ(target(), 1);
  sim.Run(seconds(10));
  EXPECT_EQ(target(), 0);
  EXPECT_EQ(sim.AppStatus("a"), "RUNNING");
}

TEST_F(AutoscaleTest, ARouterThatIsGoneCountsNoMore) {
  Deploy(
      {{"min_replicas", 1}, {"max_replicas", 9}, {"upscale_delay_s", 0}, {"downscale_delay_s", 1}});
  sim.controller->OnSubscribe(2, "driver", /*everything=*/false, {});
  sim.Load("a", 20, 0, "driver");
  sim.Run(seconds(1));
  EXPECT_EQ(target(), 9);
  sim.controller->OnRouterGone(2);
  sim.controller->Settle();
  sim.Run(seconds(3));
  EXPECT_EQ(target(), 1);
}

TEST_F(AutoscaleTest, FromFixedToAutoscaled) {
  sim.Deploy("a", {{"num_replicas", 4}});
  sim.Run(seconds(1));
  sim.Deploy("a", {{"autoscaling_config",
                    {{"min_replicas", 1}, {"max_replicas", 3}, {"downscale_delay_s", 1}}}});
  sim.Run(milliseconds(500));
  EXPECT_EQ(target(), 3) << "the current count, within the bounds";
  sim.Run(seconds(5));
  EXPECT_EQ(sim.Running("a"), 1);
}

}  // namespace
}  // namespace penstock::scenario
