// How many replicas should be up when one that is ordered now would be: many ways to forecast, each
// with the errors that it has made, weighted by what each would have cost.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>

#include "autoscale/slo_rates.h"
#include "autoscale/slo_tail.h"

namespace penstock::autoscale {

inline constexpr int kForecastPeriod = 5;  // seconds

class Forecaster {
 public:
  // The moment, at the end of a period.
  struct Moment {
    std::int64_t now_s = 0;
    double in_service = 0;  // requests that would be served if there were room for all
    double needed = 0;      // slots that were needed in this period
    double service_s = 1;
    double price = 1;
    int ahead_s = 30;      // how far to look
    bool settled = false;  // whether what is forecast now shall be judged later
  };

  Forecaster();

  // The sizes that pay, by price. `rates` as of `moment`.
  Sizes Step(const RateHistory& rates, const Moment& moment, const SizeRules& rules);

 private:
  static constexpr std::size_t kWays = 6;  // to forecast the rate
  static constexpr std::size_t kExperts =
      2 * kWays;  // each with errors that grow like the root or in proportion
  struct Forecast {
    std::int64_t due_s = 0;
    std::array<float, kWays> slots{};
    std::array<int, kExperts> sizes{};  // at the price that was paid
  };

  std::array<double, kWays> Slots(const RateHistory& rates, const Moment& moment) const;
  void Judge(const Moment& moment, const SizeRules& rules);
  std::array<double, kExperts> Weights() const;

  std::array<ErrorTail, kExperts> errors_;
  std::array<double, kExperts> costs_{};
  double judged_ = 0;  // periods, fading
  std::deque<Forecast> open_;
};

}  // namespace penstock::autoscale
