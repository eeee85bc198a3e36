// An exact amount of a resource: fixed point, 1e-4 of a unit.
//
// 0.1 + 0.2 == 0.3 here, so two replicas of 0.5 GPU fill one device and nothing is left over.
// Value type; every operation is a total function of its arguments.
#pragma once

#include <compare>
#include <cstdint>
#include <string>

#include "penstock/status.h"

namespace penstock {

class Quantity {
 public:
  // Raw steps in one unit. The step, 1e-4, is Ray's.
  static constexpr std::int64_t kScale = 10'000;

  // The largest whole amount that can be asked for or declared, 1e14 (Ray's limit for node
  // totals; about 90 TiB when the unit is a byte).
  static constexpr std::int64_t kMaxUnits = 100'000'000'000'000;

  constexpr Quantity() = default;

  // `whole` units. Pre: |whole| <= kMaxUnits.
  static constexpr Quantity Units(std::int64_t whole) { return Raw(whole * kScale); }

  // `steps` of 1e-4 units.
  static constexpr Quantity Raw(std::int64_t steps) {
    Quantity q;
    q.steps_ = steps;
    return q;
  }

  // Truncates toward zero at the fourth decimal of the shortest decimal text that names
  // `amount`: 1.23456 is 1.2345, and 0.0003 stays 0.0003 although the nearest double is smaller.
  // kInvalidArgument for NaN, infinities and amounts beyond kMaxUnits.
  static Result<Quantity> FromDouble(double amount);

  // Steps of 1e-4 units.
  constexpr std::int64_t raw() const { return steps_; }

  // The amount in units, to a double's precision.
  constexpr double ToDouble() const {
    return static_cast<double>(steps_) / static_cast<double>(kScale);
  }

  // Whole units, rounded toward negative infinity.
  constexpr std::int64_t Floor() const {
    const std::int64_t q = steps_ / kScale;
    return q * kScale > steps_ ? q - 1 : q;
  }

  // True for an amount without a fraction.
  constexpr bool IsWhole() const { return steps_ % kScale == 0; }

  // Decimal text without trailing zeros: "1", "0.5", "-0.0001".
  std::string ToString() const;

  constexpr Quantity& operator+=(Quantity other) {
    steps_ += other.steps_;
    return *this;
  }
  constexpr Quantity& operator-=(Quantity other) {
    steps_ -= other.steps_;
    return *this;
  }
  friend constexpr Quantity operator+(Quantity a, Quantity b) { return a += b; }
  friend constexpr Quantity operator-(Quantity a, Quantity b) { return a -= b; }
  friend constexpr auto operator<=>(Quantity, Quantity) = default;

 private:
  std::int64_t steps_ = 0;
};

// A whole device, or one of whatever the resource counts.
inline constexpr Quantity kOneUnit = Quantity::Units(1);

}  // namespace penstock
