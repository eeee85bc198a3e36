#include "autoscale/policy.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <vector>

namespace penstock::autoscale {
namespace {

using Aggregation = AutoscalingSpec::Aggregation;

TimePoint At(double seconds) { return TimePoint() + FromSeconds(seconds); }

// The specification's table: delays 0, min 1, max 100 unless stated.
AutoscalingSpec Table(AutoscalingSpec spec = {}) {
  spec.upscale_delay_s = 0;
  spec.downscale_delay_s = 0;
  spec.max_replicas = spec.max_replicas == 1 ? 100 : spec.max_replicas;
  return spec;
}

struct Row {
  int number;
  int running;
  int target;
  double requests;
  AutoscalingSpec spec;
  int final_count;
};

class WorkedExample : public testing::TestWithParam<Row> {};

TEST_P(WorkedExample, GivesRaysCount) {
  const Row& row = GetParam();
  const Decision decision =
      Decide(row.spec, {.running = row.running, .target = row.target, .requests = row.requests}, {},
             At(0));
  EXPECT_EQ(decision.target, row.final_count) << "rule " << decision.rule;
}

AutoscalingSpec Held(double up_s, double down_s) {
  AutoscalingSpec spec = Table();
  spec.upscale_delay_s = up_s;
  spec.downscale_delay_s = down_s;
  return spec;
}

const AutoscalingSpec kPlain = Table();
const AutoscalingSpec kMinZero = Table({.min_replicas = 0});

AutoscalingSpec Up(double gain, int min = 1) {
  return Table({.min_replicas = min, .upscaling_factor = gain});
}
AutoscalingSpec Down(double gain, int min = 1) {
  return Table({.min_replicas = min, .downscaling_factor = gain});
}
AutoscalingSpec Target(double target) { return Table({.target_ongoing_requests = target}); }

INSTANTIATE_TEST_SUITE_P(
    Specification54, WorkedExample,
    testing::Values(
        Row{1, 1, 1, 0, kPlain, 1}, Row{2, 1, 1, 2, kPlain, 1}, Row{3, 1, 1, 2.01, kPlain, 2},
        Row{4, 1, 1, 3, kPlain, 2}, Row{5, 1, 1, 10, kPlain, 5}, Row{6, 2, 2, 4, kPlain, 2},
        Row{7, 2, 2, 5, kPlain, 3}, Row{8, 4, 4, 8, kPlain, 4}, Row{9, 4, 4, 7, kPlain, 4},
        Row{10, 4, 4, 6, kPlain, 3}, Row{11, 4, 4, 0, kPlain, 1}, Row{12, 4, 4, 0, kMinZero, 1},
        Row{13, 1, 1, 0, kMinZero, 0}, Row{14, 0, 0, 0, kMinZero, 0}, Row{15, 0, 0, 1, kMinZero, 1},
        Row{16, 0, 0, 50, kMinZero, 1}, Row{17, 0, 0, 50, Up(3, 0), 3},
        Row{18, 0, 0, 50, Up(0.3, 0), 1}, Row{19, 0, 5, 3, kMinZero, 5},
        Row{20, 0, 5, 0, kMinZero, 5}, Row{21, 10, 10, 40, Up(0.5), 15},
        Row{22, 10, 10, 40, Up(2), 30}, Row{23, 10, 10, 40, kPlain, 20},
        Row{24, 10, 10, 10, Down(0.5), 8}, Row{25, 10, 10, 10, Down(2), 1},
        Row{26, 10, 10, 10, kPlain, 5}, Row{27, 10, 10, 18, Down(0.1), 9},
        Row{28, 10, 10, 19, Down(0.5), 10}, Row{29, 3, 3, 5, Down(0.2), 3},
        Row{30, 2, 2, 3, Down(0.3), 2}, Row{31, 1, 1, 0, Down(0.5, 0), 0},
        Row{32, 2, 2, 0, Down(0.5, 0), 1}, Row{33, 10, 10, 10, Table({.smoothing_factor = 0.5}), 8},
        Row{34, 10, 10, 40, Table({.smoothing_factor = 0.5}), 15},
        Row{35, 10, 10, 40, Table({.smoothing_factor = 0.5, .upscaling_factor = 1}), 20},
        Row{36, 5, 8, 20, kPlain, 10}, Row{37, 8, 5, 20, kPlain, 10},
        Row{38, 3, 3, 1000, Table({.max_replicas = 20}), 20}, Row{39, 3, 3, 9, Target(1), 9},
        Row{40, 3, 3, 9, Target(0.5), 18}, Row{41, 3, 3, 9, Target(10), 1},
        Row{42, 2, 10, 4, kPlain, 2}, Row{43, 10, 2, 20, kPlain, 10},
        Row{44, 1, 1, 5, Held(30, 0), 1}, Row{45, 4, 4, 0, Held(0, 600), 4}),
    [](const auto& test) { return "row" + std::to_string(test.param.number); });

TEST(Gain, ShrinksAtLeastOneWhenTheLoadAllowsIt) {
  const auto count = [](double requests) {
    return Decide(Down(0.01), {.running = 10, .target = 10, .requests = requests}, {}, At(0))
        .target;
  };
  EXPECT_EQ(count(19), 10) << "raw 9.5";
  EXPECT_EQ(count(18), 9) << "raw 9.0";
  EXPECT_EQ(count(17.98), 9) << "raw 8.99";
}

struct Tick {
  double time_s;
  int desired;
  int decision;
};

// Feeds loads whose desired count is given, with the target held still, and compares.
void Replay(const AutoscalingSpec& spec, int target, const std::vector<Tick>& ticks, bool follow) {
  DelayState state;
  for (const Tick& tick : ticks) {
    const Load load{.running = target,
                    .target = target,
                    .requests = tick.desired * spec.target_ongoing_requests};
    const Decision decision = Decide(spec, load, state, At(tick.time_s));
    EXPECT_EQ(decision.target, tick.decision) << "at " << tick.time_s;
    state = decision.state;
    if (follow) target = decision.target;
  }
}

TEST(Delays, FollowTheSpecificationsTrace) {
  Replay(Held(30, 60), 3,
         {{0, 5, 3},
          {10, 6, 3},
          {20, 7, 3},
          {29.9, 8, 3},
          {30, 9, 9},
          {40, 9, 3},
          {50, 1, 3},
          {60, 5, 3},
          {70, 1, 3},
          {100, 1, 3},
          {129, 2, 3},
          {130, 2, 2}},
         false);
}

TEST(Delays, GoToZeroThroughOneWithADelayOfItsOwn) {
  AutoscalingSpec spec = Held(30, 60);
  spec.min_replicas = 0;
  spec.downscale_to_zero_delay_s = 120;
  Replay(spec, 3,
         {{0, 0, 3}, {30, 0, 3}, {60, 0, 1}, {61, 0, 1}, {120, 0, 1}, {180, 0, 1}, {181, 0, 0}},
         true);
}

TEST(Delays, SayWhenTheyEnd) {
  const Decision first =
      Decide(Held(30, 60), {.running = 1, .target = 1, .requests = 9}, {}, At(100));
  EXPECT_EQ(first.rule, "upscale_delay");
  EXPECT_EQ(first.due, At(130));
  EXPECT_EQ(first.desired, 5);
  const Decision due =
      Decide(Held(30, 60), {.running = 1, .target = 1, .requests = 9}, first.state, first.due);
  EXPECT_EQ(due.target, 5);
  EXPECT_EQ(due.state, DelayState());
}

TEST(Delays, ASteadyTickForgets) {
  const Decision up = Decide(Held(30, 60), {.running = 1, .target = 1, .requests = 9}, {}, At(0));
  const Decision steady =
      Decide(Held(30, 60), {.running = 1, .target = 1, .requests = 2}, up.state, At(10));
  EXPECT_EQ(steady.state, DelayState());
  EXPECT_EQ(steady.rule, "steady");
  EXPECT_EQ(steady.due, kNever);
}

TEST(Gangs, ATargetIsAWholeNumberOfThem) {
  AutoscalingSpec spec = Table({.max_replicas = 12});
  const auto target = [&](int running, double requests) {
    return Decide(spec,
                  {.running = running, .target = running, .requests = requests, .gang_size = 3}, {},
                  At(0))
        .target;
  };
  EXPECT_EQ(target(3, 8), 6) << "4 replicas are 2 gangs";
  EXPECT_EQ(target(3, 6), 3);
  EXPECT_EQ(target(9, 2), 3);
  EXPECT_EQ(target(3, 100), 12);
}

TEST(Gangs, TheLastOneGoesToSleepAsTheLastReplicaDoes) {
  AutoscalingSpec spec{.min_replicas = 0, .max_replicas = 8};
  spec.downscale_delay_s = 60;
  spec.downscale_to_zero_delay_s = 120;
  DelayState state;
  int target = 4;
  std::vector<std::pair<int, int>> trace;
  for (const int second : {0, 60, 61, 180, 181}) {
    const Decision decision =
        Decide(spec, {.running = target, .target = target, .requests = 0, .gang_size = 2}, state,
               At(second));
    target = decision.target;
    state = decision.state;
    trace.emplace_back(second, target);
  }
  EXPECT_EQ(trace,
            (std::vector<std::pair<int, int>>{{0, 4}, {60, 2}, {61, 2}, {180, 2}, {181, 0}}));
}

TEST(ColdStart, IsNotDelayed) {
  AutoscalingSpec spec = Held(30, 60);
  spec.min_replicas = 0;
  const Decision decision = Decide(spec, {.running = 0, .target = 0, .requests = 1}, {}, At(0));
  EXPECT_EQ(decision.target, 1);
  EXPECT_EQ(decision.rule, "cold_start");
}

TEST(Initial, CountIsTheInitialOneElseTheCurrentWithinBounds) {
  AutoscalingSpec spec{.min_replicas = 2, .max_replicas = 5};
  EXPECT_EQ(InitialTarget(spec, 0), 2);
  EXPECT_EQ(InitialTarget(spec, 4), 4);
  EXPECT_EQ(InitialTarget(spec, 9), 5);
  spec.initial_replicas = 3;
  EXPECT_EQ(InitialTarget(spec, 0), 3);
  EXPECT_EQ(InitialTarget(spec, 5), 3);
}

TEST(Capacity, RoundsHalvesUpAndKeepsOne) {
  const std::vector<std::tuple<int, double, int>> rows{
      {10, 50, 5}, {10, 5, 1},   {1, 50, 1}, {3, 50, 2}, {5, 50, 3}, {10, 25, 3},
      {7, 33, 2},  {10, 4.9, 1}, {10, 0, 0}, {0, 50, 0}, {8, 100, 8}};
  for (const auto& [n, capacity, expected] : rows) EXPECT_EQ(AtCapacity(n, capacity), expected);
}

RC_GTEST_PROP(Policy, StaysWithinItsBounds, ()) {
  AutoscalingSpec spec;
  spec.min_replicas = *rc::gen::inRange(0, 10);
  spec.max_replicas = *rc::gen::inRange(std::max(1, spec.min_replicas), 40);
  spec.upscale_delay_s = *rc::gen::inRange(0, 5);
  spec.downscale_delay_s = *rc::gen::inRange(0, 5);
  spec.upscaling_factor = *rc::gen::inRange(1, 40) / 10.0;
  DelayState state;
  int target = spec.min_replicas;
  for (int second = 0; second < 30; ++second) {
    const Load load{.running = *rc::gen::inRange(0, target + 1),
                    .target = target,
                    .requests = *rc::gen::inRange(0, 200) / 4.0};
    const Decision decision = Decide(spec, load, state, At(second));
    RC_ASSERT(decision.target >= spec.min_replicas);
    RC_ASSERT(decision.target <= spec.max_replicas);
    RC_ASSERT(decision.due == kNever || decision.due > At(second));
    target = decision.target;
    state = decision.state;
  }
}

}  // namespace
}  // namespace penstock::autoscale
