#include "route/deadline_margin.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <functional>
#include <random>

namespace penstock::route {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

TEST(DeadlineMargin, IsZeroWhileNothingIsCut) {
  DeadlineMargin margin;
  for (int i = 0; i < 100; ++i) margin.NoteDone();
  EXPECT_FALSE(margin.TooLate(milliseconds(0), seconds(1)));
}

TEST(DeadlineMargin, NeverTakesMoreThanHalfOfTheTime) {
  DeadlineMargin margin;
  for (int i = 0; i < 1000; ++i) margin.NoteCut();
  EXPECT_TRUE(margin.TooLate(milliseconds(499), seconds(1)));
  EXPECT_FALSE(margin.TooLate(milliseconds(500), seconds(1)));
}

// One server, requests every `gap` with ten service times to live: the part of the server's time
// that goes into answers.
double Goodput(Duration gap, const std::function<Duration()>& service, Duration budget) {
  DeadlineMargin margin;
  std::deque<Duration> waiting;  // when each came
  Duration now{};
  Duration next{};
  double answered = 0;
  while (now < std::chrono::minutes(10)) {
    for (; next <= now; next += gap) waiting.push_back(next);
    while (!waiting.empty() && waiting.front() + budget <= now) waiting.pop_front();
    while (waiting.size() > 1 && margin.TooLate(waiting.front() + budget - now, budget)) {
      waiting.pop_front();
    }
    if (waiting.empty()) {
      now = next;
      continue;
    }
    const Duration deadline = waiting.front() + budget;
    waiting.pop_front();
    const Duration took = service();
    if (now + took <= deadline) {
      margin.NoteDone();
      answered += ToSeconds(took);
    } else {
      margin.NoteCut();
    }
    now = std::min(now + took, deadline);
  }
  return answered / ToSeconds(now);
}

TEST(DeadlineMargin, KeepsAnOverloadedServerUseful) {
  const auto fixed = [] { return milliseconds(50); };
  EXPECT_GT(Goodput(milliseconds(17), fixed, milliseconds(500)), 0.95);
  std::mt19937 random(1);
  std::exponential_distribution<double> exponential(20);
  const auto varied = [&] { return FromSeconds(exponential(random)); };
  EXPECT_GT(Goodput(milliseconds(17), varied, milliseconds(500)), 0.85);
}

TEST(DeadlineMargin, FollowsServiceTimesThatChange) {
  int served = 0;
  const auto slower = [&] { return milliseconds(++served < 3000 ? 10 : 100); };
  EXPECT_GT(Goodput(milliseconds(5), slower, seconds(1)), 0.93);
}

}  // namespace
}  // namespace penstock::route
