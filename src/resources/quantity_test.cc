#include "penstock/quantity.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace penstock {
namespace {

Quantity Q(double amount) { return *Quantity::FromDouble(amount); }

TEST(Quantity, SumsOfDecimalFractionsAreExact) {
  EXPECT_EQ(Q(0.1) + Q(0.2), Q(0.3));
  EXPECT_EQ(Q(0.5) + Q(0.5), kOneUnit);
  EXPECT_EQ(kOneUnit - Q(0.34) - Q(0.34) - Q(0.32), Quantity());
}

TEST(Quantity, TruncatesTowardZeroAtTheFourthDecimal) {
  EXPECT_EQ(Q(1.23456), Q(1.2345));
  EXPECT_EQ(Q(1.00009), kOneUnit);
  EXPECT_EQ(Q(-1.23456), Q(-1.2345));
  EXPECT_EQ(Q(0.00001), Quantity());
}

// Binary truncation, as in Ray, gives one step less for 1,146 of these.
TEST(Quantity, EveryFourDecimalNumberKeepsItsDigits) {
  for (int steps = 0; steps <= 20'000; ++steps) {
    EXPECT_EQ(Q(static_cast<double>(steps) / 10'000).raw(), steps);
  }
}

TEST(Quantity, KeepsBytesWholeUpToTheLargestAmount) {
  EXPECT_EQ(Q(1e14), Quantity::Units(Quantity::kMaxUnits));
  EXPECT_EQ(Q(67'108'864.0).ToString(), "67108864");
}

TEST(Quantity, RefusesWhatIsNoAmount) {
  EXPECT_FALSE(Quantity::FromDouble(std::nan("")).ok());
  EXPECT_FALSE(Quantity::FromDouble(std::numeric_limits<double>::infinity()).ok());
  const auto huge = Quantity::FromDouble(1e17);
  EXPECT_EQ(huge.status().code(), Code::kInvalidArgument);
  EXPECT_NE(huge.status().message().find("100000000000000"), std::string::npos);
}

TEST(Quantity, PrintsWithoutTrailingZeros) {
  EXPECT_EQ(Q(0.5).ToString(), "0.5");
  EXPECT_EQ(Q(-0.0001).ToString(), "-0.0001");
  EXPECT_EQ(Q(3).ToString(), "3");
  EXPECT_EQ(Q(10.05).ToString(), "10.05");
}

TEST(Quantity, FloorsTowardNegativeInfinity) {
  EXPECT_EQ(Q(2.9).Floor(), 2);
  EXPECT_EQ(Q(-0.1).Floor(), -1);
  EXPECT_EQ(Q(-2).Floor(), -2);
}

}  // namespace
}  // namespace penstock
