#include "app/traffic_trace.h"

#include <gtest/gtest.h>

#include <cmath>
#include <sstream>

namespace penstock::app {
namespace {

Result<TrafficTrace> Read(const std::string& text, const ServiceTimes& times = {}) {
  std::istringstream stream(text);
  return ReadTrafficTrace(stream, times);
}

TEST(TrafficTrace, OfCountsHasThemSpreadOverTheirSeconds) {
  const auto trace = Read("# two days\n2\n\n0\n1 # late\n", {.mean_s = 3, .deviation = 0});
  ASSERT_TRUE(trace.ok()) << trace.status().message();
  EXPECT_EQ(trace->duration_s, 3);
  ASSERT_EQ(trace->requests.size(), 3u);
  EXPECT_EQ(trace->requests[1].at_s, 0.5);
  EXPECT_EQ(trace->requests[2].at_s, 2);
  EXPECT_NEAR(trace->requests[2].service_s, 3, 1e-9);
}

TEST(TrafficTrace, OfRequestsHasTheirServiceTimes) {
  const auto trace = Read("0,1256\n4314,2884\n");
  ASSERT_TRUE(trace.ok()) << trace.status().message();
  EXPECT_EQ(trace->duration_s, 5);
  EXPECT_EQ(trace->requests[1].at_s, 4.314);
  EXPECT_EQ(trace->requests[1].service_s, 2.884);
}

TEST(TrafficTrace, DrawsServiceTimesOfTheMeanAndSpreadThatIsAsked) {
  const auto trace = Read("100000\n", {.mean_s = 4, .deviation = 0.5});
  ASSERT_TRUE(trace.ok());
  double sum = 0;
  double squares = 0;
  for (const auto& request : trace->requests) {
    sum += request.service_s;
    squares += request.service_s * request.service_s;
  }
  const double mean = sum / 1e5;
  EXPECT_NEAR(mean, 4, 0.05);
  EXPECT_NEAR(std::sqrt(squares / 1e5 - mean * mean), 2, 0.1);
}

TEST(TrafficTrace, NamesTheLineThatCannotBeRead) {
  for (const char* bad : {"1\nx\n", "1\n-1\n", "1\n1,2\n", "1,2\n3\n", "5,1\n4,1\n", "1\n1e9\n",
                          "1\ninf\n", "1,1\n1,2,3\n", "1\n2 x\n"}) {
    const auto trace = Read(bad);
    ASSERT_FALSE(trace.ok()) << bad;
    EXPECT_TRUE(trace.status().message().starts_with("line 2: ")) << trace.status().message();
  }
  EXPECT_EQ(Read("# nothing\n").status().message(), "the trace is empty");
}

}  // namespace
}  // namespace penstock::app
