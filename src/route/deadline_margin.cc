#include "route/deadline_margin.h"

#include <algorithm>

namespace penstock::route {
namespace {

constexpr Duration kLeast = std::chrono::milliseconds(1);  // below it is zero
constexpr Duration kMost = std::chrono::hours(1);
constexpr double kGrowth = 1.2;
constexpr double kShrinking = 0.9963;  // 1.2 to the power of -1/49

}  // namespace

void DeadlineMargin::NoteCut() {
  margin_ = std::clamp(std::chrono::duration_cast<Duration>(margin_ * kGrowth), kLeast, kMost);
}

void DeadlineMargin::NoteDone() {
  margin_ = std::chrono::duration_cast<Duration>(margin_ * kShrinking);
  if (margin_ < kLeast) margin_ = Duration::zero();
}

bool DeadlineMargin::TooLate(Duration left, Duration budget) const {
  return left < std::min(margin_, budget / 2);
}

}  // namespace penstock::route
