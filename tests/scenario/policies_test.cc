// Autoscaling policies of the user's: asked from outside, never waited for.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "scenario/sim.h"

namespace penstock::scenario {
namespace {

using nlohmann::json;
using std::chrono::milliseconds;
using std::chrono::seconds;

class PolicyTest : public testing::Test {
 protected:
  PolicyTest() { sim.AddNode("head", {{"CPU", 16}}); }

  static json Options(const std::string& function = "mine:policy") {
    return {{"autoscaling_config",
             {{"min_replicas", 1},
              {"max_replicas", 8},
              {"upscale_delay_s", 0},
              {"downscale_delay_s", 0},
              {"policy", {{"policy_function", function}, {"policy_kwargs", {{"n", 1}}}}}}}};
  }

  Sim sim;
};

TEST_F(PolicyTest, RunsInAProcessOfItsOwnAndIsAskedThere) {
  sim.Deploy("a", Options());
  sim.Run(seconds(1));
  ASSERT_EQ(sim.engine.code_hosts.size(), 1u);
  const engine::CodeHostOrder& host = sim.engine.code_hosts[0];
  EXPECT_EQ(host.kind, engine::CodeHostOrder::Kind::kAutoscalingPolicy);
  EXPECT_EQ(host.import_path, "mine:policy");
  EXPECT_EQ(json::parse(host.kwargs), (json{{"n", 1}}));
  ASSERT_FALSE(sim.policies.asked.empty());
  EXPECT_EQ(sim.policies.asked.back().socket, host.socket);
  const json& context = sim.policies.asked.back().context;
  EXPECT_EQ(context.at("running").size(), 1u);
  EXPECT_EQ(context.at("target"), 1);
  EXPECT_EQ(context.at("min_replicas"), 1);
  EXPECT_EQ(context.at("max_replicas"), 8);
  EXPECT_EQ(context.at("total_requests"), 0.0);
  EXPECT_EQ(context.at("config").at("downscale_delay_s"), 0);
}

TEST_F(PolicyTest, DecidesWithinTheBounds) {
  sim.policies.answer = 2.5;
  sim.Deploy("a", Options());
  ASSERT_TRUE(sim.RunUntil([&] { return sim.Running("a") == 3; }, seconds(5)));
  sim.policies.answer = 100.0;
  ASSERT_TRUE(sim.RunUntil([&] { return sim.Running("a") == 8; }, seconds(5)));
  sim.policies.answer = 0.0;
  ASSERT_TRUE(sim.RunUntil([&] { return sim.Running("a") == 1; }, seconds(5)));
}

TEST_F(PolicyTest, IsAskedTenTimesASecondAndOneQuestionAtATime) {
  sim.policies.answer = 1.0;
  sim.Deploy("a", Options());
  sim.Run(seconds(1));
  sim.policies.asked.clear();
  sim.Run(seconds(1));
  EXPECT_NEAR(static_cast<double>(sim.policies.asked.size()), 10, 1);
  sim.policies.delay = milliseconds(350);
  sim.policies.asked.clear();
  sim.Run(seconds(4));
  EXPECT_NEAR(static_cast<double>(sim.policies.asked.size()), 10, 1);
}

TEST_F(PolicyTest, ThatFailsOrIsSilentChangesNothing) {
  sim.policies.answer = 3.0;
  sim.Deploy("a", Options());
  ASSERT_TRUE(sim.RunUntil([&] { return sim.Running("a") == 3; }, seconds(5)));
  sim.policies.answer = Internal("KeyError");
  sim.Run(seconds(5));
  EXPECT_EQ(sim.Running("a"), 3);
  sim.policies.silent = true;
  sim.Run(seconds(5));
  EXPECT_EQ(sim.Running("a"), 3);
  json options = Options();
  options["autoscaling_config"]["min_replicas"] = 5;
  sim.Deploy("a", options);
  ASSERT_TRUE(sim.RunUntil([&] { return sim.Running("a") == 5; }, seconds(5)))
      << "bounds hold all the same";
}

TEST_F(PolicyTest, IsNotAskedAtAColdStart) {
  json options = Options();
  options["autoscaling_config"]["min_replicas"] = 0;
  sim.policies.answer = 0.0;
  sim.Deploy("a", options);
  ASSERT_TRUE(sim.RunUntil([&] { return sim.Running("a") == 0; }, seconds(5)));
  sim.policies.silent = true;
  sim.Load("a", 1, 0);
  ASSERT_TRUE(sim.RunUntil([&] { return sim.Running("a") == 1; }, seconds(5)));
}

TEST_F(PolicyTest, OfAnotherCodeIsAskedElsewhere) {
  sim.Deploy("a", Options());
  sim.Run(seconds(1));
  const std::string before = sim.policies.asked.back().socket;
  sim.Deploy("a", Options("mine:other"));
  sim.Run(seconds(1));
  EXPECT_NE(sim.policies.asked.back().socket, before);
  EXPECT_THAT(sim.policies.forgotten, testing::Contains(before));
  sim.controller->Delete("a");
  sim.Run(seconds(2));
  EXPECT_TRUE(sim.engine.code_hosts.empty());
  EXPECT_THAT(sim.policies.forgotten, testing::Contains(sim.policies.asked.back().socket));
}

}  // namespace
}  // namespace penstock::scenario
