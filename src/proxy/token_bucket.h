// How often something may happen: a burst, then a steady rate. Pure: the caller has the clock.
#pragma once

#include <algorithm>

#include "penstock/units.h"

namespace penstock::proxy {

class TokenBucket {
 public:
  // `burst` at once, `per_second` in the long run.
  TokenBucket(double burst, double per_second) : burst_(burst), rate_(per_second), left_(burst) {}

  // False when it happened too often.
  bool Take(TimePoint now) {
    if (last_ != TimePoint{}) left_ = std::min(burst_, left_ + rate_ * ToSeconds(now - last_));
    last_ = now;
    left_ -= 1;
    return left_ >= 0;
  }

 private:
  double burst_;
  double rate_;
  double left_;
  TimePoint last_{};
};

}  // namespace penstock::proxy
