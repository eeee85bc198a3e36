// Time as a port: production reads the kernel's clock, the scenario harness its own.
#pragma once

#include "penstock/units.h"

namespace penstock::base {

class Clock {
 public:
  virtual ~Clock() = default;

  // Monotonic. Any thread.
  virtual TimePoint Now() const = 0;

  // Seconds since 1970, for what people read (`last_deployed_time_s`, `start_time_s`).
  virtual double UnixSeconds() const = 0;
};

// The kernel's clocks.
class SystemClock final : public Clock {
 public:
  TimePoint Now() const override;
  double UnixSeconds() const override;
};

}  // namespace penstock::base
