#include "control/traffic.h"

#include <gtest/gtest.h>

namespace penstock::control {
namespace {

TEST(Traffic, IsWhatCameAndWhatEndedSinceItWasTaken) {
  Traffic traffic;
  traffic.Note("a", {.arrived = 0});
  traffic.Note("a", {.arrived = 10, .queued = 2, .running = 3});
  traffic.Note("b", {.arrived = 0});
  traffic.Note("b", {.arrived = 4, .running = 4});
  Traffic::Sum sum = traffic.Take();
  EXPECT_EQ(sum.arrivals, 14);
  EXPECT_EQ(sum.completed, 5);
  EXPECT_EQ(sum.queued, 2);
  EXPECT_EQ(sum.running, 7);
  traffic.Note("a", {.arrived = 10});
  sum = traffic.Take();
  EXPECT_EQ(sum.arrivals, 0);
  EXPECT_EQ(sum.completed, 5);
  EXPECT_EQ(sum.running, 4);
}

TEST(Traffic, OfARouterThatWasNotKnownOnlyWhatItHoldsIsNew) {
  Traffic traffic;
  traffic.Note("a", {.arrived = 1'000'000, .queued = 1, .running = 2});
  const Traffic::Sum sum = traffic.Take();
  EXPECT_EQ(sum.arrivals, 3);
  EXPECT_EQ(sum.completed, 0);
}

TEST(Traffic, ACountThatFellIsAnotherProcessOfThatName) {
  Traffic traffic;
  traffic.Note("a", {.arrived = 100, .running = 5});
  traffic.Take();
  traffic.Note("a", {.arrived = 2, .running = 2});
  const Traffic::Sum sum = traffic.Take();
  EXPECT_EQ(sum.arrivals, 2);
  EXPECT_EQ(sum.completed, 0);
}

TEST(Traffic, WhatAGoneRouterHeldCountsNoMore) {
  Traffic traffic;
  traffic.Note("a", {.arrived = 5, .queued = 1, .running = 4});
  traffic.Forget("a");
  EXPECT_TRUE(traffic.idle());
  const Traffic::Sum sum = traffic.Take();
  EXPECT_EQ(sum.arrivals, 5) << "they did arrive";
  EXPECT_EQ(sum.queued + sum.running, 0);
}

}  // namespace
}  // namespace penstock::control
