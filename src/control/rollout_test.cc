#include "control/rollout.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

namespace penstock::control {
namespace {

struct Row {
  const char* name;
  RolloutCounts counts;
  DeploymentSpec spec;
  int stop;
  int start;
};

class RolloutTest : public testing::TestWithParam<Row> {};

TEST_P(RolloutTest, StopsAndStarts) {
  const Row& row = GetParam();
  EXPECT_EQ(OldReplicasToStop(row.counts, row.spec), row.stop);
  EXPECT_EQ(NewReplicasToStart(row.counts, row.spec), row.start);
}

DeploymentSpec Surging(int percent) { return {.max_surge_percent = percent}; }
const DeploymentSpec kWaves{.rolling_update_percentage = 0.4};
const DeploymentSpec kAuto{.rolling_update_percentage = 0.4, .auto_surge = true};

INSTANTIATE_TEST_SUITE_P(
    Table, RolloutTest,
    testing::Values(
        // In waves: what is stopped now is started when it no longer counts.
        Row{"wave", {.target = 5, .old_running = 5}, kWaves, 2, 0},
        Row{"wave_out", {.target = 5, .old_running = 3, .new_starting = 2}, kWaves, 0, 0},
        Row{"half_of_it_back",
            {.target = 5, .old_running = 3, .new_running = 1, .new_starting = 1},
            kWaves,
            1,
            0},
        Row{"one_at_least", {.target = 2, .old_running = 2}, kWaves, 1, 0},
        Row{"scale_down_first", {.target = 2, .old_running = 3}, kWaves, 0, 0},
        Row{"scale_up_at_once", {.target = 5, .old_running = 2}, kWaves, 0, 3},
        // With a surge the new comes first.
        Row{"surge", {.target = 5, .old_running = 5}, Surging(40), 0, 2},
        Row{"surge_rounds_up", {.target = 5, .old_running = 5}, Surging(1), 0, 1},
        Row{"surge_starting",
            {.target = 5, .old_running = 5, .new_starting = 2},
            Surging(40),
            0,
            0},
        Row{"surge_took_over",
            {.target = 5, .old_running = 5, .new_running = 2},
            Surging(40),
            2,
            0},
        Row{"surge_draining_does_not_count",
            {.target = 5, .old_running = 3, .old_stopping = 2, .new_running = 2},
            Surging(40),
            0,
            2},
        Row{"surge_to_the_end", {.target = 1, .new_running = 1}, Surging(100), 0, 0},
        Row{"surge_to_fewer", {.target = 1, .old_running = 3}, Surging(100), 2, 0},
        Row{"surge_to_more", {.target = 4, .old_running = 1}, Surging(25), 0, 4},
        // Where the surge has no room, one stops before one starts.
        Row{"auto", {.target = 5, .old_running = 5}, kAuto, 0, 2},
        Row{"auto_no_room",
            {.target = 5, .old_running = 5, .new_starting = 2, .new_refused = 2},
            kAuto,
            2,
            0},
        Row{"auto_room_for_one",
            {.target = 5, .old_running = 5, .new_starting = 2, .new_refused = 1},
            kAuto,
            1,
            0},
        Row{"auto_making_room",
            {.target = 5, .old_running = 3, .old_stopping = 2, .new_starting = 2, .new_refused = 2},
            kAuto,
            0,
            2},
        Row{"auto_room_was_made",
            {.target = 5, .old_running = 3, .new_starting = 2, .new_refused = 0},
            kAuto,
            0,
            2},
        // A gang of the old version stops as a whole.
        Row{"wave_of_a_gang",
            {.target = 3, .old_running = 2, .new_starting = 1, .old_gang = 2},
            kWaves,
            1,
            0},
        Row{"smaller_than_a_gang", {.target = 1, .old_running = 2, .old_gang = 2}, kWaves, 2, 0},
        Row{"surge_of_a_gang",
            {.target = 3, .old_running = 2, .new_running = 2, .old_gang = 2},
            Surging(1),
            1,
            1},
        Row{"auto_room_for_a_gang",
            {.target = 2, .old_running = 2, .new_starting = 1, .new_refused = 1, .old_gang = 2},
            kAuto,
            2,
            1},
        Row{"auto_never_more_than_a_wave",
            {.target = 5, .old_running = 3, .new_starting = 4, .new_refused = 2},
            kAuto,
            0,
            0}),
    [](const auto& test) { return test.param.name; });

// With room for `capacity` replicas, and replicas that start and stop in any order, an update ends,
// and never has more out of service than it may.
RC_GTEST_PROP(RolloutProperty, EveryUpdateEnds, ()) {
  const int target = *rc::gen::inRange(1, 12);
  DeploymentSpec spec;
  spec.rolling_update_percentage = *rc::gen::element(0.01, 0.2, 0.5, 1.0);
  spec.auto_surge = *rc::gen::arbitrary<bool>();
  if (!spec.auto_surge) spec.max_surge_percent = *rc::gen::element(0, 1, 30, 100);
  const bool needs_room = !spec.auto_surge && spec.max_surge_percent > 0;
  const int capacity = target + *rc::gen::inRange(needs_room ? target : 0, target + 1);
  RolloutCounts counts{.target = target, .old_running = target};
  int least = target;
  const auto under_way = [&] {
    return counts.new_running < target || counts.old_running + counts.old_stopping > 0;
  };
  for (int step = 0; under_way(); ++step) {
    RC_ASSERT(step < 1000);
    const int stop = OldReplicasToStop(counts, spec);
    counts.old_running -= stop;
    counts.old_stopping += stop;
    counts.new_starting += NewReplicasToStart(counts, spec);
    const int there = counts.old_running + counts.old_stopping + counts.new_running;
    counts.new_refused = std::clamp(there + counts.new_starting - capacity, 0, counts.new_starting);
    const bool can_start = counts.new_starting > counts.new_refused;
    const bool can_stop = counts.old_stopping > 0;
    if (can_start && (!can_stop || *rc::gen::arbitrary<bool>())) {
      --counts.new_starting;
      ++counts.new_running;
    } else if (can_stop) {
      --counts.old_stopping;
    }
    least = std::min(least, counts.old_running + counts.new_running);
  }
  RC_ASSERT(counts.new_running == target);
  RC_ASSERT(least >= target - WaveSize(target, spec));
  if (needs_room) RC_ASSERT(least >= target);
  if (spec.auto_surge && capacity >= 2 * target) RC_ASSERT(least >= target);
}

}  // namespace
}  // namespace penstock::control
