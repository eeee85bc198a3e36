#include "autoscale/slo.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <vector>

namespace penstock::autoscale {
namespace {

// A deployment in which requests are a fluid: they queue, are served in equal time, and replicas
// take `startup_s` to start.
class Plant {
 public:
  struct Settings {
    double service_s = 4;
    double startup_s = 30;
    bool tell_startup = true;
    int slots = 2;
    int min = 1;
    int max = 60;
    double objective_s = 1;
    double attainment = 0.95;
    int ready = 1;
  };

  explicit Plant(const Settings& settings)
      : settings_(settings), policy_(Config(settings)), ready_(settings.ready), target_(ready_) {}

  // One second at `rate`; the target decided at its end.
  int Second(double rate) {
    while (!starts_.empty() && starts_.front() + settings_.startup_s <= now_) {
      starts_.erase(starts_.begin());
      ++ready_;
    }
    queued_ += rate;
    const double ended = running_ * (1 - std::exp(-1 / settings_.service_s));
    running_ -= ended;
    const double begun = std::clamp(double(ready_) * settings_.slots - running_, 0.0, queued_);
    queued_ -= begun;
    running_ += begun;
    now_ += 1;
    decision_ = policy_.Tick({.now = TimePoint() + FromSeconds(now_),
                              .arrivals = rate,
                              .completed = ended,
                              .queued = std::floor(queued_),
                              .running = std::round(running_),
                              .ready = ready_,
                              .starting = static_cast<int>(starts_.size())});
    Follow(decision_.target);
    return target_;
  }

  // So many seconds; every target there was.
  std::vector<int> Run(int seconds, const std::function<double(int)>& rate) {
    std::vector<int> targets;
    for (int i = 0; i < seconds; ++i) targets.push_back(Second(rate(i)));
    return targets;
  }
  std::vector<int> Run(int seconds, double rate) {
    return Run(seconds, [=](int) { return rate; });
  }

  const SloPolicy& policy() const { return policy_; }
  const SloDecision& decision() const { return decision_; }
  double queued() const { return queued_; }
  int starts() const { return started_; }

 private:
  static SloConfig Config(const Settings& s) {
    SloConfig config{.max_ongoing = s.slots, .min_replicas = s.min, .max_replicas = s.max};
    config.objective = {.waiting_objective_s = s.objective_s, .attainment = s.attainment};
    if (s.tell_startup) config.objective.startup_s = s.startup_s;
    return config;
  }

  void Follow(int target) {
    target_ = target;
    int have = ready_ + static_cast<int>(starts_.size());
    for (; have < target; ++have, ++started_) starts_.push_back(now_);
    for (; have > target && !starts_.empty(); --have) starts_.pop_back();
    for (; have > target; --have) --ready_;
  }

  Settings settings_;
  SloPolicy policy_;
  SloDecision decision_;
  std::vector<double> starts_;
  int ready_;
  int target_;
  int started_ = 0;
  double now_ = 0;
  double queued_ = 0;
  double running_ = 0;
};

int Changes(const std::vector<int>& targets) {
  int changes = 0;
  for (std::size_t i = 1; i < targets.size(); ++i) changes += targets[i] != targets[i - 1];
  return changes;
}

TEST(Slo, ServesAStepWithoutFlapping) {
  Plant plant({});
  plant.Run(900, 1.0);
  plant.Run(600, 6.0);  // 24 slots, 12 replicas
  EXPECT_LT(plant.queued(), 1);
  const auto after = plant.Run(1200, 6.0);
  EXPECT_LT(plant.queued(), 1);
  EXPECT_GE(*std::min_element(after.begin(), after.end()), 12);
  EXPECT_LE(after.back(), 18) << "what cleared the backlog is gone again";
  EXPECT_LE(Changes(plant.Run(1200, 6.0)), 4);
}

TEST(Slo, DoesNotFlapAtTheEdgeOfAReplica) {
  Plant plant({});
  const auto edge = [](int i) {
    return 3.0 + 0.02 * std::sin(i / 7.0);
  };  // 6 replicas, a hair more
  plant.Run(1800, edge);
  EXPECT_LE(Changes(plant.Run(3600, edge)), 6);
}

TEST(Slo, CountsStartingReplicasAsCapacity) {
  Plant plant({.startup_s = 120});
  plant.Run(600, 1.0);
  plant.Run(30, 5.0);
  SloPolicy with = plant.policy();
  SloPolicy without = plant.policy();
  SloInput input{.arrivals = 5, .running = 6, .ready = 3};
  int more[2];
  for (int i = 1; i <= 60; ++i) {
    input.now = TimePoint() + FromSeconds(630 + i);
    input.queued = 100 + 4 * i;
    input.starting = plant.decision().target - input.ready;
    more[0] = with.Tick(input).target;
    input.starting = 0;
    more[1] = without.Tick(input).target;
  }
  EXPECT_LT(more[0] * 5, more[1] * 4);
}

TEST(Slo, ActsWithinSecondsWhenTheQueueBreaksTheObjective) {
  Plant plant({});
  plant.Run(600, 1.0);
  int seconds = 1;
  while (seconds < 60 && plant.Second(10.0) < 20) ++seconds;
  EXPECT_LE(seconds, 15);
  EXPECT_STREQ(plant.decision().rule, "backlog");
}

TEST(Slo, LearnsServiceAndStartUpTime) {
  Plant plant({.service_s = 7, .startup_s = 95, .tell_startup = false});
  for (int i = 0; i < 10; ++i) {
    plant.Run(600, 1.0);
    plant.Run(600, 5.0);
  }
  EXPECT_NEAR(plant.policy().service_s(), 7, 1);
  EXPECT_NEAR(plant.policy().startup_s(), 95, 3);
}

TEST(Slo, OrdersAheadOfADailyPeakOnceItHasSeenOne) {
  const auto day = [](int i) {
    const int minute = i / 60 % (24 * 60);
    return minute >= 600 && minute < 660 ? 8.0 : 1.0;
  };
  Plant plant({.startup_s = 300, .max = 40, .attainment = 0.999});
  const auto ahead = [&] {
    plant.Run(595 * 60, day);
    const int before = plant.decision().forecast;
    plant.Run(24 * 3600 - 595 * 60, [&](int i) { return day(i + 595 * 60); });
    return before;
  };
  const int first = ahead();
  ahead();
  EXPECT_GT(ahead(), first);
}

TEST(Slo, AStricterGoalCostsMore) {
  const auto cost = [](double attainment) {
    Plant plant({.attainment = attainment});
    unsigned state = 1;
    const auto bursts = [&](int i) {
      if (i % 97 == 0) state = state * 1664525 + 1013904223;
      return 0.5 + (state >> 28) / 4.0;
    };
    double sum = 0;
    for (const int target : plant.Run(4 * 3600, bursts)) sum += target;
    return sum;
  };
  EXPECT_LT(cost(0.8), cost(0.95));
  EXPECT_LT(cost(0.95), cost(0.999));
}

TEST(Slo, GoesToZeroAndComesBackForOneRequest) {
  Plant plant({.min = 0, .ready = 0});
  EXPECT_EQ(plant.Second(0), 0);
  EXPECT_GE(plant.Second(1), 1) << "a request waits";
  plant.Run(600, 0.5);
  EXPECT_EQ(plant.Run(3600, 0.0).back(), 0);
}

TEST(Slo, TicksMayComeAtAnyPace) {
  const SloConfig config{.max_ongoing = 2, .max_replicas = 50};
  SloPolicy fine(config);
  SloPolicy coarse(config);
  SloInput input{.queued = 0, .running = 12, .ready = 8};
  SloDecision last_fine;
  for (int i = 1; i <= 3000; ++i) {
    input.now = TimePoint() + FromSeconds(i * 0.1);
    input.arrivals = input.completed = 0.3;
    last_fine = fine.Tick(input);
  }
  SloDecision last_coarse;
  for (int i = 1; i <= 60; ++i) {
    input.now = TimePoint() + FromSeconds(i * 5);
    input.arrivals = input.completed = 15;
    last_coarse = coarse.Tick(input);
  }
  EXPECT_EQ(last_fine.target, last_coarse.target);
  EXPECT_NEAR(fine.service_s(), coarse.service_s(), 0.2);
}

TEST(Slo, WhatIsThereAtTheFirstTickIsNotGivenUpUnseen) {
  SloPolicy policy({.max_ongoing = 2, .max_replicas = 50});
  const auto tick = [&](int second) {
    return policy
        .Tick({.now = TimePoint() + FromSeconds(second),
               .arrivals = 4,
               .completed = 4,
               .running = 16,
               .ready = 9})
        .target;
  };
  for (int second = 1; second < 30; ++second) EXPECT_GE(tick(second), 9) << second;
}

TEST(Slo, OtherOptionsKeepWhatWasLearned) {
  Plant plant({.service_s = 7, .startup_s = 95, .tell_startup = false});
  plant.Run(3600, [](int i) { return i / 600 % 2 == 0 ? 1.0 : 5.0; });
  SloPolicy policy = plant.policy();
  policy.Configure({.max_ongoing = 4, .max_replicas = 3});
  EXPECT_EQ(policy.service_s(), plant.policy().service_s());
  EXPECT_EQ(policy.startup_s(), plant.policy().startup_s());
  EXPECT_LE(policy.Tick({.now = TimePoint() + FromSeconds(3601), .queued = 1000}).target, 3);
  SloConfig told{.max_ongoing = 4, .max_replicas = 3};
  told.objective.startup_s = 12;
  policy.Configure(told);
  EXPECT_EQ(policy.startup_s(), 12);
}

TEST(Slo, AValueGoesOnWhereItsOriginalWas) {
  Plant plant({});
  plant.Run(1000, 3.0);
  SloPolicy copy = plant.policy();
  SloPolicy other = plant.policy();
  const SloInput input{.now = TimePoint() + FromSeconds(1001),
                       .arrivals = 9,
                       .queued = 5,
                       .running = 12,
                       .ready = 6};
  EXPECT_EQ(copy.Tick(input).target, other.Tick(input).target);
}

RC_GTEST_PROP(SloBounds, HoldForAnyInput, ()) {
  const int min = *rc::gen::inRange(0, 5);
  const int max = *rc::gen::inRange(std::max(1, min), 40);
  SloConfig config{
      .max_ongoing = *rc::gen::inRange(1, 9), .min_replicas = min, .max_replicas = max};
  config.objective.waiting_objective_s = *rc::gen::inRange(1, 100) / 10.0;
  SloPolicy policy(config);
  for (int second = 1; second < 200; ++second) {
    const SloDecision decision = policy.Tick({.now = TimePoint() + FromSeconds(second),
                                              .arrivals = double(*rc::gen::inRange(0, 50)),
                                              .completed = double(*rc::gen::inRange(0, 50)),
                                              .queued = double(*rc::gen::inRange(0, 100)),
                                              .running = double(*rc::gen::inRange(0, 100)),
                                              .ready = *rc::gen::inRange(0, max + 1),
                                              .starting = *rc::gen::inRange(0, max + 1)});
    RC_ASSERT(decision.target >= min);
    RC_ASSERT(decision.target <= max);
  }
}

}  // namespace
}  // namespace penstock::autoscale
