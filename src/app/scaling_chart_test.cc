#include "app/scaling_chart.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace penstock::app {
namespace {

using control::ScalingOutcome;
using testing::HasSubstr;

TEST(ScalingChart, DrawsEachColumnsLargestAndSumsUp) {
  ScalingOutcome outcome{.replica_seconds = 12, .starts = 2};
  outcome.seconds = {{.target = 1, .ready = 1, .queued = 10, .longest_wait_s = 2},
                     {.target = 3, .ready = 1, .starting = 1},
                     {.target = 3, .ready = 4},
                     {.target = 3, .ready = 4}};
  outcome.waits_s = {0, 0.5, 2, 0.1};
  const std::string text = ScalingChart(outcome, 0.5, 2);
  EXPECT_THAT(text, HasSubstr("replicas, those that start included\n       4 | █\n"));
  EXPECT_THAT(text, HasSubstr("         |▄█\n")) << "2 of 4 in the left column";
  EXPECT_THAT(text, HasSubstr("       0 |██\n"));
  EXPECT_THAT(text, HasSubstr("ongoing requests\n      10 |█ \n"));
  EXPECT_THAT(text, HasSubstr("longest wait, in seconds\n       2 |█ \n"));
  EXPECT_THAT(text, HasSubstr("4 requests in 4 s\nstarted within 0.5 s: 75.00 %;"));
  EXPECT_THAT(text, HasSubstr("12 replica-seconds, 3.00 replicas on average; 2 starts, the target "
                              "changed 1 times\n"));
}

TEST(ScalingChart, OfNothingIsEmpty) {
  ScalingOutcome outcome;
  outcome.seconds.resize(1);
  EXPECT_THAT(ScalingChart(outcome, 1, 72),
              HasSubstr("0 requests in 1 s\nstarted within 1 s: 100.00 %"));
}

TEST(ScalingCsv, HasALineEachSecond) {
  ScalingOutcome outcome;
  outcome.seconds = {
      {.target = 2, .ready = 1, .starting = 1, .queued = 3, .running = 2, .longest_wait_s = 0.25}};
  EXPECT_EQ(ScalingCsv(outcome),
            "t_s,target,ready,starting,queued,running,longest_wait_s\n1,2,1,1,3,2,0.250\n");
}

}  // namespace
}  // namespace penstock::app
