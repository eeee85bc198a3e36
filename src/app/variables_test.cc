#include "app/variables.h"

#include <gtest/gtest.h>

namespace penstock::app {
namespace {

TEST(Variables, AreNotNeeded) {
  for (const base::Environment& environment :
       {base::Environment{}, base::Environment{{"RAY_OVERRIDE_RESOURCES", ""},
                                               {"RAY_OVERRIDE_LABELS", ""},
                                               {"RAY_SERVE_SLOW_STARTUP_WARNING_S", ""}}}) {
    EXPECT_TRUE(ResourceOverrides(environment)->empty());
    EXPECT_TRUE(LabelOverrides(environment)->empty());
    EXPECT_EQ(*SlowStartup_s(environment), 30);
    EXPECT_EQ(CompactionTimes(environment)->delay, std::chrono::seconds(300));
    EXPECT_EQ(CompactionTimes(environment)->timeout, std::chrono::seconds(1800));
    EXPECT_EQ(CompactionTimes(environment)->most_backoff, std::chrono::seconds(3600));
  }
}

TEST(Variables, AreRead) {
  EXPECT_EQ(*ResourceOverrides({{"RAY_OVERRIDE_RESOURCES", R"({"CPU": 3, "widget": 1})"}}),
            (std::map<std::string, double>{{"CPU", 3}, {"widget", 1}}));
  EXPECT_EQ(
      *LabelOverrides({{"RAY_OVERRIDE_LABELS", R"({"zone": "a", "ray.io/market-type": "spot"})"}}),
      (resources::Labels{{"zone", "a"}, {"ray.io/market-type", "spot"}}));
  EXPECT_EQ(*SlowStartup_s({{"RAY_SERVE_SLOW_STARTUP_WARNING_S", "0.5"}}), 0.5);
  const auto times = CompactionTimes({{"RAY_SERVE_NODE_COMPACTION_DELAY_S", "1.5"},
                                      {"RAY_SERVE_COMPACTION_TIMEOUT_S", "2"},
                                      {"RAY_SERVE_COMPACTION_MAX_BACKOFF_TIME_S", "0"}});
  EXPECT_EQ(times->delay, std::chrono::milliseconds(1500));
  EXPECT_EQ(times->timeout, std::chrono::seconds(2));
  EXPECT_EQ(times->most_backoff, Duration::zero());
}

TEST(Variables, AreRefusedByName) {
  const auto resources = [](const std::string& text) {
    return ResourceOverrides({{"RAY_OVERRIDE_RESOURCES", text}}).status().message();
  };
  EXPECT_EQ(resources("{CPU: 1}"),
            "RAY_OVERRIDE_RESOURCES must be a JSON object of amounts, e.g. '{\"CPU\": 2}', got "
            "'{CPU: 1}'");
  EXPECT_NE(resources("[1]"), "");
  EXPECT_EQ(resources(R"({"CPU": "1"})"),
            "RAY_OVERRIDE_RESOURCES: the amount of 'CPU' must be a number, got \"1\"");
  const auto labels = [](const std::string& text) {
    return LabelOverrides({{"RAY_OVERRIDE_LABELS", text}}).status().message();
  };
  EXPECT_EQ(
      labels("zone=a"),
      "RAY_OVERRIDE_LABELS must be a JSON object of texts, e.g. '{\"zone\": \"a\"}', got 'zone=a'");
  EXPECT_EQ(labels(R"({"zone": 1})"),
            "RAY_OVERRIDE_LABELS: the value of 'zone' must be a text, got 1");
  EXPECT_EQ(labels(R"({"zone": "a b"})").find("RAY_OVERRIDE_LABELS: Invalid label key value `a b`"),
            0u);
  EXPECT_NE(labels(R"({"ray.io/node-id": "x"})"), "");
  for (const char* text : {"soon", "1s", "-1", "nan", "inf", " "}) {
    EXPECT_EQ(SlowStartup_s({{"RAY_SERVE_SLOW_STARTUP_WARNING_S", text}}).status().message(),
              "RAY_SERVE_SLOW_STARTUP_WARNING_S must be a number of seconds from 0 to 1e9, got '" +
                  std::string(text) + "'");
  }
  EXPECT_EQ(CompactionTimes({{"RAY_SERVE_COMPACTION_TIMEOUT_S", "1e10"}}).status().message(),
            "RAY_SERVE_COMPACTION_TIMEOUT_S must be a number of seconds from 0 to 1e9, got '1e10'");
}

}  // namespace
}  // namespace penstock::app
