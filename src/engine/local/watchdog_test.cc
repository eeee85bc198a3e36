#include "engine/local/watchdog.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace penstock::engine::local {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

TimePoint At(Duration since_start) { return TimePoint() + std::chrono::hours(1) + since_start; }

// ---- limits ----

struct LimitsCase {
  const char* name;
  Variables variables;
  WatchdogLimits expected;
};

class Limits : public testing::TestWithParam<LimitsCase> {};

TEST_P(Limits, AreThoseOfRaysVariables) {
  const auto limits = WatchdogLimitsFrom(GetParam().variables);
  ASSERT_TRUE(limits.ok()) << limits.status().message();
  EXPECT_EQ(limits->enabled, GetParam().expected.enabled);
  EXPECT_EQ(limits->silence, GetParam().expected.silence);
  if (limits->enabled) {
    EXPECT_EQ(limits->patience, GetParam().expected.patience);
  }
}

INSTANTIATE_TEST_SUITE_P(
    Rows, Limits,
    testing::Values(LimitsCase{"default", {}, {true, minutes(5), minutes(18)}},
                    LimitsCase{"all",
                               {{"RAY_SERVE_USER_HEALTH_CHECK_PROBE_INTERVAL_S", "1"},
                                {"RAY_SERVE_USER_HEALTH_CHECK_PROBE_TIMEOUT_S", "0.5"},
                                {"RAY_SERVE_USER_HEALTH_CHECK_PROBE_MAX_FAIL", "2"}},
                               {true, milliseconds(500), seconds(3)}},
                    LimitsCase{"off",
                               {{"RAY_SERVE_USER_HEALTH_CHECK_PROBE_MAX_FAIL", "0"}},
                               {false, minutes(5), {}}}),
    [](const auto& row) { return row.param.name; });

TEST(Watchdog, AVariableThatMakesNoSenseIsNamed) {
  for (const char* value : {"", "x", "0", "-1", "nan", "inf", "1s"}) {
    const auto bad =
        WatchdogLimitsFrom({{"RAY_SERVE_USER_HEALTH_CHECK_PROBE_TIMEOUT_S", value}}).status();
    EXPECT_THAT(bad.message(), testing::HasSubstr("PROBE_TIMEOUT_S is '" + std::string(value)));
  }
  for (const char* value : {"", "1.5", "-1"}) {
    EXPECT_FALSE(WatchdogLimitsFrom({{"RAY_SERVE_USER_HEALTH_CHECK_PROBE_MAX_FAIL", value}}).ok());
  }
}

// ---- signs of life ----

struct SignCase {
  const char* name;
  Pulse pulse;  // after one of {10, 20, 1 s}
  bool lives;
};

class SignsOfLife : public testing::TestWithParam<SignCase> {};

TEST_P(SignsOfLife, AreSeen) {
  const Signs before{{10, 20, seconds(1)}, At(seconds(0))};
  const Signs after = Take(before, GetParam().pulse, At(seconds(30)));
  EXPECT_EQ(after.last, GetParam().lives ? At(seconds(30)) : before.last);
}

INSTANTIATE_TEST_SUITE_P(
    Rows, SignsOfLife,
    testing::Values(SignCase{"nothing", {10, 20, seconds(1)}, false},
                    SignCase{"a_turn", {11, 20, seconds(1)}, true},
                    SignCase{"a_request", {10, 21, seconds(1)}, true},
                    SignCase{"cpu", {10, 20, milliseconds(1001)}, true},
                    SignCase{
                        "an_alarm_that_rang", {10, 20, seconds(1) + milliseconds(1) / 2}, false},
                    SignCase{"a_child_has_ended", {10, 20, milliseconds(900)}, true}),
    [](const auto& row) { return row.param.name; });

// A process that uses half a millisecond a look is alive after two.
TEST(Watchdog, LittleAddsUp) {
  Signs signs{{0, 0, seconds(1)}, At(seconds(0))};
  signs = Take(signs, {0, 0, seconds(1) + std::chrono::microseconds(600)}, At(seconds(10)));
  EXPECT_EQ(signs.last, At(seconds(0)));
  signs = Take(signs, {0, 0, seconds(1) + std::chrono::microseconds(1200)}, At(seconds(20)));
  EXPECT_EQ(signs.last, At(seconds(20)));
}

// ---- verdicts ----

struct VerdictCase {
  const char* name;
  bool own_check;
  Duration since_turn;
  Duration since_sign;
  bool enabled;
  Health expected;
};

class Verdicts : public testing::TestWithParam<VerdictCase> {};

TEST_P(Verdicts, OfALoopThatIsHeldUp) {
  const VerdictCase& row = GetParam();
  const WatchdogLimits limits{.enabled = row.enabled};
  const TimePoint now = At(std::chrono::hours(1));
  const HeldUp facts{.last_turn = now - row.since_turn,
                     .last_sign = now - row.since_sign,
                     .own_check = row.own_check,
                     .check_timeout = seconds(30)};
  EXPECT_EQ(Judge(facts, limits, now), row.expected);
}

constexpr Duration kZero{};

INSTANTIATE_TEST_SUITE_P(
    Rows, Verdicts,
    testing::Values(
        VerdictCase{"computes", false, minutes(17), kZero, true, Health::kBusy},
        VerdictCase{"computes_for_ever", false, minutes(18), kZero, true, Health::kStalled},
        VerdictCase{"sleeps_a_minute", false, minutes(1), minutes(1), true, Health::kBusy},
        VerdictCase{"sleeps_for_ever", false, minutes(5), minutes(5), true, Health::kStalled},
        VerdictCase{"own_check_and_computes", true, minutes(17), kZero, true, Health::kBusy},
        VerdictCase{"own_check_and_computes_for_ever", true, minutes(18), kZero, true,
                    Health::kStalled},
        VerdictCase{"own_check_and_sleeps", true, seconds(29), seconds(29), true, Health::kBusy},
        VerdictCase{"own_check_and_no_sign", true, seconds(30), seconds(30), true,
                    Health::kStalled},
        VerdictCase{"off", false, minutes(60), minutes(60), false, Health::kBusy},
        VerdictCase{"off_but_own_check", true, minutes(60), minutes(60), false, Health::kStalled}),
    [](const auto& row) { return row.param.name; });

// ---- threads ----

struct ThreadCase {
  const char* name;
  ThreadFacts facts;  // after all of five taken, one queued, 9 begun, 1 s
  Health expected;    // half an hour later
};

class Threads : public testing::TestWithParam<ThreadCase> {};

TEST_P(Threads, AreStalledWhenAllAreStuck) {
  const ThreadSigns before{{5, 5, 1, 9, seconds(1)}, At(seconds(0))};
  const TimePoint now = At(minutes(30));
  EXPECT_EQ(Judge(Take(before, GetParam().facts, now), {}, now), GetParam().expected);
}

INSTANTIATE_TEST_SUITE_P(
    Rows, Threads,
    testing::Values(ThreadCase{"stuck", {5, 5, 3, 9, seconds(1)}, Health::kStalled},
                    ThreadCase{"one_is_free", {5, 4, 3, 9, seconds(1)}, Health::kHealthy},
                    ThreadCase{"nobody_waits", {5, 5, 0, 9, seconds(1)}, Health::kHealthy},
                    ThreadCase{"one_went_on", {5, 5, 3, 10, seconds(1)}, Health::kHealthy},
                    ThreadCase{"they_compute", {5, 5, 3, 9, seconds(2)}, Health::kHealthy}),
    [](const auto& row) { return row.param.name; });

TEST(Watchdog, ThreadsThatAreStuckHaveTimeToGoOn) {
  const ThreadSigns signs{{5, 5, 1, 9, seconds(1)}, At(seconds(0))};
  EXPECT_EQ(Judge(signs, {}, At(minutes(17))), Health::kHealthy);
  EXPECT_EQ(Judge(signs, {.enabled = false}, At(minutes(60))), Health::kHealthy);
}

}  // namespace
}  // namespace penstock::engine::local
