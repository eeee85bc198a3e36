// Units as types: a number without its unit is where bugs live.
#pragma once

#include <chrono>
#include <cstdint>

namespace penstock {

// A span of time. Prints and configuration use seconds; nothing inside rounds to them.
using Duration = std::chrono::nanoseconds;

// The timeline of the engine. It has no now(): time comes in as an argument, and only
// base/clock reads a real one.
struct Timeline {
  using rep = Duration::rep;
  using period = Duration::period;
  using duration = Duration;
  using time_point = std::chrono::time_point<Timeline>;
  static constexpr bool is_steady = true;
};

// An instant on the engine's timeline; only differences have a meaning.
using TimePoint = std::chrono::time_point<Timeline>;

// Later than every instant that occurs.
inline constexpr TimePoint kNever = TimePoint::max();

// Fractional seconds, the unit of every Ray Serve option that ends in `_s`.
using Seconds = std::chrono::duration<double>;

// Longer than anything that is waited for: a century, in seconds.
inline constexpr double kForever_s = 3.2e9;

// Rounds to the nearest nanosecond; beyond a century it stays a century.
constexpr Duration FromSeconds(double seconds) {
  const double bounded = seconds > kForever_s ? kForever_s : seconds;
  return std::chrono::round<Duration>(Seconds(bounded < -kForever_s ? -kForever_s : bounded));
}

// Exact to a double's precision.
constexpr double ToSeconds(Duration span) { return Seconds(span).count(); }

}  // namespace penstock
