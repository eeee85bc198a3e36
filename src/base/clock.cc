#include "base/clock.h"

#include <chrono>

namespace penstock::base {

TimePoint SystemClock::Now() const {
  return TimePoint(std::chrono::steady_clock::now().time_since_epoch());
}

double SystemClock::UnixSeconds() const {
  return Seconds(std::chrono::system_clock::now().time_since_epoch()).count();
}

}  // namespace penstock::base
