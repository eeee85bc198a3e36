#include "autoscale/window.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>

namespace penstock::autoscale {
namespace {

using Aggregation = AutoscalingSpec::Aggregation;

TimePoint At(double seconds) { return TimePoint() + FromSeconds(1000 + seconds); }

double Mean(const LoadWindow& window, double now) {
  return window.Total(At(now), Aggregation::kMean);
}

TEST(LoadWindow, IsZeroWithoutSamples) {
  EXPECT_EQ(Mean(LoadWindow(), 10), 0);
  EXPECT_EQ(LoadWindow().Latest(), 0);
}

TEST(LoadWindow, AveragesOneSeriesOverTime) {
  LoadWindow window;
  window.Add("a", At(0), 2);
  window.Add("a", At(8), 10);
  EXPECT_DOUBLE_EQ(Mean(window, 10), (2 * 8 + 10 * 2) / 10.0);
  EXPECT_EQ(window.Total(At(10), Aggregation::kMax), 10);
  EXPECT_EQ(window.Total(At(10), Aggregation::kMin), 2);
}

TEST(LoadWindow, SumsSeriesAtEveryInstant) {
  LoadWindow window;
  window.Add("a", At(0), 1);
  window.Add("b", At(0), 2);
  window.Add("a", At(5), 4);
  EXPECT_DOUBLE_EQ(Mean(window, 10), (3 * 5 + 6 * 5) / 10.0);
  EXPECT_EQ(window.Latest(), 6);
}

TEST(LoadWindow, StartsWhenEverySeriesHasBegun) {
  LoadWindow window;
  window.Add("a", At(0), 4);
  window.Add("b", At(10), 4);
  EXPECT_DOUBLE_EQ(Mean(window, 20), 8) << "not diluted by the time before b";
}

TEST(LoadWindow, ASingleInstantHasItsLastValue) {
  LoadWindow window;
  window.Add("a", At(3), 7);
  EXPECT_EQ(Mean(window, 3), 7);
  EXPECT_EQ(Mean(window, 1), 7) << "a clock that is behind the reporter's";
}

TEST(LoadWindow, SamplesWithinTenMillisecondsAreOne) {
  LoadWindow window;
  window.Add("a", At(1.001), 3);
  window.Add("a", At(1.004), 5);
  EXPECT_EQ(window.Total(At(2), Aggregation::kMin), 5);
}

TEST(LoadWindow, DroppedSeriesCountNoMore) {
  LoadWindow window;
  window.Add("a", At(0), 4);
  window.Add("b", At(0), 3);
  window.Drop("a");
  EXPECT_DOUBLE_EQ(Mean(window, 10), 3);
  window.Drop("b");
  EXPECT_TRUE(window.empty());
}

TEST(LoadWindow, TrimmingKeepsTheLastValueOfASilentSeries) {
  LoadWindow window;
  window.Add("a", At(0), 9);
  window.Add("a", At(1), 2);
  window.Trim(At(100), FromSeconds(30));
  EXPECT_EQ(window.Latest(), 2);
  EXPECT_EQ(window.Total(At(100), Aggregation::kMax), 2);
}

RC_GTEST_PROP(LoadWindow, MeanLiesBetweenMinAndMax, ()) {
  LoadWindow window;
  double time = 0;
  const int samples = *rc::gen::inRange(1, 20);
  for (int i = 0; i < samples; ++i) {
    time += *rc::gen::inRange(0, 30) / 10.0;
    window.Add(*rc::gen::element<std::string>("a", "b", "c"), At(time), *rc::gen::inRange(0, 50));
  }
  const TimePoint now = At(time + *rc::gen::inRange(1, 100) / 10.0);
  const double mean = window.Total(now, Aggregation::kMean);
  RC_ASSERT(mean <= window.Total(now, Aggregation::kMax) + 1e-9);
  RC_ASSERT(mean >= window.Total(now, Aggregation::kMin) - 1e-9);
}

RC_GTEST_PROP(LoadWindow, OrderOfSeriesDoesNotMatter, ()) {
  struct Sample {
    std::string series;
    double at;
    double value;
  };
  std::vector<Sample> samples;
  for (const char* series : {"a", "b", "c"}) {
    double at = 0;
    for (int i = *rc::gen::inRange(0, 5); i > 0; --i) {
      at += *rc::gen::inRange(1, 30) / 10.0;
      samples.push_back({series, at, static_cast<double>(*rc::gen::inRange(0, 9))});
    }
  }
  LoadWindow forward;
  for (const Sample& s : samples) forward.Add(s.series, At(s.at), s.value);
  std::stable_sort(samples.begin(), samples.end(),
                   [](const Sample& x, const Sample& y) { return x.series > y.series; });
  LoadWindow backward;
  for (const Sample& s : samples) backward.Add(s.series, At(s.at), s.value);
  for (const auto how : {Aggregation::kMean, Aggregation::kMax, Aggregation::kMin}) {
    RC_ASSERT(forward.Total(At(20), how) == backward.Total(At(20), how));
  }
}

}  // namespace
}  // namespace penstock::autoscale
