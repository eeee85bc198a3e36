#include "control/scaling_simulation.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

namespace penstock::control {
namespace {

ScalingTrial Trial(AutoscalingSpec spec, double startup_s = 5) {
  ScalingTrial trial{.startup_s = startup_s};
  trial.spec.max_ongoing_requests = 2;
  trial.spec.autoscaling = std::move(spec);
  return trial;
}

// `rate` a second from `from_s` to `to_s`, each served for `service_s`.
void Add(std::vector<SimulatedRequest>& requests, double from_s, double to_s, double rate,
         double service_s) {
  for (double at_s = from_s; at_s < to_s; at_s += 1 / rate) requests.push_back({at_s, service_s});
}

TEST(ScalingSimulation, FollowsALoadWithServesDefaultPolicy) {
  AutoscalingSpec spec{.max_replicas = 10};
  spec.upscale_delay_s = 30;
  spec.downscale_delay_s = 60;
  std::vector<SimulatedRequest> requests;
  Add(requests, 0, 300, 8, 1);
  const auto outcome = SimulateScaling(Trial(spec), requests, 600);
  ASSERT_TRUE(outcome.ok()) << outcome.status().message();
  EXPECT_EQ(outcome->seconds.size(), 600u);
  EXPECT_EQ(outcome->seconds[25].target, 1) << "before the delay is over";
  EXPECT_GE(outcome->seconds[250].ready, 4) << "8 requests run, 2 for each replica";
  EXPECT_EQ(outcome->seconds[250].queued, 0);
  EXPECT_EQ(outcome->seconds.back().ready, 1);
  EXPECT_EQ(outcome->waits_s.size(), requests.size());
  EXPECT_GT(*std::ranges::max_element(outcome->waits_s), 20);
  double seconds = 0;
  for (const auto& second : outcome->seconds) seconds += second.ready + second.starting;
  EXPECT_NEAR(outcome->replica_seconds, seconds, 0.05 * seconds);
}

TEST(ScalingSimulation, AReplicaServesOnceItHasStartedAndWhatItHoldsIsFinished) {
  AutoscalingSpec spec{.min_replicas = 0, .max_replicas = 1};
  spec.downscale_delay_s = 1;
  const std::vector<SimulatedRequest> requests{{10, 3}, {10.5, 3}, {10.6, 3}};
  const auto outcome = SimulateScaling(Trial(spec, 4), requests, 120);
  ASSERT_TRUE(outcome.ok());
  EXPECT_EQ(outcome->starts, 1);
  EXPECT_EQ(outcome->seconds[9].target, 0);
  EXPECT_NEAR(outcome->waits_s[0], 4, 0.2) << "asleep: the start-up time";
  EXPECT_NEAR(outcome->waits_s[2], 4 - 0.6 + 3, 0.2) << "two at a time";
  EXPECT_EQ(outcome->seconds.back().ready, 0);
}

TEST(ScalingSimulation, ObeysTheWaitingObjective) {
  AutoscalingSpec spec{.max_replicas = 30};
  spec.slo = SloSpec{.waiting_objective_s = 1, .attainment = 0.95};
  std::vector<SimulatedRequest> requests;
  Add(requests, 0, 900, 1, 2);
  Add(requests, 900, 2700, 6, 2);
  const auto outcome = SimulateScaling(Trial(spec, 20), requests, 2700);
  ASSERT_TRUE(outcome.ok());
  const auto late = std::ranges::count_if(outcome->waits_s, [](float wait) { return wait > 1; });
  EXPECT_LT(late, 0.06 * static_cast<double>(requests.size()));
  EXPECT_LE(outcome->seconds.back().ready, 12) << "6 are busy";
}

TEST(ScalingSimulation, WhoStillWaitsAtTheEndIsCounted) {
  AutoscalingSpec spec;
  std::vector<SimulatedRequest> requests;
  Add(requests, 0, 10, 10, 100);
  const auto outcome = SimulateScaling(Trial(spec), requests, 10);
  ASSERT_TRUE(outcome.ok());
  ASSERT_EQ(outcome->waits_s.size(), requests.size());
  EXPECT_NEAR(outcome->waits_s[99], 0.1, 0.05);
  EXPECT_NEAR(outcome->waits_s[2], 9.8, 0.05);
}

TEST(ScalingSimulation, RefusesAPolicyOfTheUsers) {
  AutoscalingSpec spec;
  spec.policy.emplace().policy_function = "mine:policy";
  const auto outcome = SimulateScaling(Trial(spec), {}, 10);
  EXPECT_EQ(outcome.status().code(), Code::kInvalidArgument);
  EXPECT_NE(outcome.status().message().find("mine:policy"), std::string::npos);
}

}  // namespace
}  // namespace penstock::control
