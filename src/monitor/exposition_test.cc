#include "monitor/exposition.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace penstock::monitor {
namespace {

using base::MetricFamily;
using base::MetricKind;
using base::MetricSource;
using testing::HasSubstr;
using testing::Not;

constexpr const char* kOthers =
    R"(Component="replica",NodeAddress="127.0.0.1",SessionName="s",Version="1",WorkerId="w")";

std::string Show(const std::vector<MetricFamily>& families) {
  return Exposition({{"replica", "w", families}},
                    {.node_address = "127.0.0.1", .session_name = "s", .version = "1"});
}

TEST(Exposition, NamesAndLabelsAreRays) {
  const std::string text = Show({{.name = "requests",
                                  .description = "How many.",
                                  .tag_keys = {"route"},
                                  .samples = {{{"/a"}, 3}}}});
  EXPECT_EQ(text, std::string("# HELP ray_requests_total How many.\n"
                              "# TYPE ray_requests_total counter\n"
                              "ray_requests_total{route=\"/a\",") +
                      kOthers + "} 3\n");
}

TEST(Exposition, AHistogramCountsUpward) {
  const std::string text = Show({{.name = "h",
                                  .kind = MetricKind::kHistogram,
                                  .bounds = {1, 10},
                                  .samples = {{{}, 17.5, {2, 1, 1}}}}});
  const std::string others = kOthers;
  EXPECT_THAT(text, HasSubstr("ray_h_count{" + others + "} 4\n"));
  EXPECT_THAT(text, HasSubstr("ray_h_sum{" + others + "} 17.5\n"));
  EXPECT_THAT(text, HasSubstr("ray_h_bucket{" + others + ",le=\"1\"} 2\n"));
  EXPECT_THAT(text, HasSubstr("ray_h_bucket{" + others + ",le=\"10\"} 3\n"));
  EXPECT_THAT(text, HasSubstr("ray_h_bucket{" + others + ",le=\"+Inf\"} 4\n"));
}

TEST(Exposition, WhatUsersWriteDoesNotBreakTheText) {
  const std::string text = Show({{.name = "g",
                                  .kind = MetricKind::kGauge,
                                  .description = "two\nlines",
                                  .tag_keys = {"my-key", "1st", "WorkerId", ""},
                                  .samples = {{{"a\"b\nc", "x", "mine", "e"}, 1}}},
                                 {.name = "bad name", .samples = {{{}, 1}}}});
  EXPECT_THAT(text, HasSubstr("# HELP ray_g two lines\n"));
  EXPECT_THAT(text, HasSubstr(R"(my_key="a\"b\nc",_1st="x",WorkerId="mine",_="e",)"));
  EXPECT_THAT(text, Not(HasSubstr("WorkerId=\"w\"")));
  EXPECT_THAT(text, Not(HasSubstr("bad name")));
}

TEST(Exposition, ProcessesShareAFamilyAndKeepTheirSeries) {
  const MetricFamily family{.name = "c", .samples = {{{}, 1}}};
  const std::string text = Exposition({{"replica", "a", {family}}, {"replica", "b", {family}}}, {});
  EXPECT_EQ(text.find("# TYPE ray_c_total"), text.rfind("# TYPE ray_c_total"));
  EXPECT_THAT(text, HasSubstr("WorkerId=\"a\"} 1"));
  EXPECT_THAT(text, HasSubstr("WorkerId=\"b\"} 1"));
}

TEST(Exposition, OfTwoKindsTheFirstIsShown) {
  const std::string text =
      Show({{.name = "x", .kind = MetricKind::kGauge, .samples = {{{}, 1}}},
            {.name = "x", .kind = MetricKind::kHistogram, .samples = {{{}, 1, {1}}}}});
  EXPECT_THAT(text, HasSubstr("# TYPE ray_x gauge"));
  EXPECT_THAT(text, Not(HasSubstr("ray_x_count")));
}

TEST(Exposition, NothingIsAnEmptyPage) { EXPECT_EQ(Show({}), ""); }

}  // namespace
}  // namespace penstock::monitor
