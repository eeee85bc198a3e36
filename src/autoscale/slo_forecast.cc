#include "autoscale/slo_forecast.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace penstock::autoscale {
namespace {

// What is remembered of errors halves in four hours, of costs in two.
const double kErrorFade = std::pow(0.5, kForecastPeriod / 14400.0);
const double kCostFade = std::pow(0.5, kForecastPeriod / 7200.0);

// The scale of an error of 1: random arrivals spread like the root, changes of load in proportion.
double Scale(size_t expert, size_t ways, double slots) {
  return expert < ways ? std::sqrt(slots + 1) : slots + 1;
}

template <size_t kSize, size_t... kIndex>
std::array<ErrorTail, kSize> Priors(std::index_sequence<kIndex...>) {
  return {((void)kIndex, kIndex < kSize / 2 ? ErrorTail(0.8, 1.0) : ErrorTail(0.2, 0.3))...};
}

}  // namespace

Forecaster::Forecaster() : errors_(Priors<kExperts>(std::make_index_sequence<kExperts>())) {}

std::array<double, Forecaster::kWays> Forecaster::Slots(const RateHistory& rates,
                                                        const Moment& moment) const {
  const double minute = rates.Rate(60);
  const double slope = (minute - rates.Between(180, 60)) / 120;
  constexpr double kDamping = 0.7;  // trends end
  const double trend = std::max(0.0, minute + slope * (moment.ahead_s + 30) * kDamping);
  const auto shape = rates.DayShape(moment.ahead_s);
  const double like_yesterday = shape ? rates.Rate(120) * *shape : rates.Rate(30);
  std::array<double, kWays> slots{rates.Rate(10), rates.Rate(30), rates.Rate(120),
                                  trend,          like_yesterday, rates.Rate(600)};
  const double stay = std::exp(-moment.ahead_s / moment.service_s);
  for (double& way : slots) {
    way = moment.in_service * stay + way * moment.service_s * (1 - stay);
  }
  return slots;
}

void Forecaster::Judge(const Moment& moment, const SizeRules& rules) {
  while (!open_.empty() && open_.front().due_s <= moment.now_s) {
    const Forecast& forecast = open_.front();
    judged_ = judged_ * kCostFade + 1;
    for (size_t expert = 0; expert < kExperts; ++expert) {
      const double slots = forecast.slots[expert % kWays];
      const double error = (moment.needed - slots) / Scale(expert, kWays, slots);
      errors_[expert].Add(error, kErrorFade);
      const bool short_of = moment.needed > forecast.sizes[expert] * rules.slots;
      const double late = short_of ? moment.needed / moment.service_s : 0;
      costs_[expert] = costs_[expert] * kCostFade + forecast.sizes[expert] + moment.price * late;
    }
    open_.pop_front();
  }
}

std::array<double, Forecaster::kExperts> Forecaster::Weights() const {
  constexpr double kTrust = 0.02;
  constexpr double kNegligible = 1e-3;
  const double least = *std::min_element(costs_.begin(), costs_.end());
  double usual = 1e-9;  // cost of a period
  for (const double cost : costs_)
    usual += cost / (static_cast<double>(kExperts) * std::max(judged_, 1.0));
  std::array<double, kExperts> weights{};
  for (size_t i = 0; i < kExperts; ++i) {
    const double weight = std::exp(-kTrust * (costs_[i] - least) / usual);
    weights[i] = weight > kNegligible ? weight : 0;
  }
  return weights;
}

Sizes Forecaster::Step(const RateHistory& rates, const Moment& moment, const SizeRules& rules) {
  Judge(moment, rules);
  const auto slots = Slots(rates, moment);
  const auto weights = Weights();
  Forecast forecast{.due_s = moment.now_s + moment.ahead_s};
  std::array<double, kPrices> sum{};
  double weight = 0;
  for (size_t way = 0; way < kWays; ++way) forecast.slots[way] = static_cast<float>(slots[way]);
  for (size_t expert = 0; expert < kExperts; ++expert) {
    const double at = slots[expert % kWays];
    const Sizes sizes = errors_[expert].Best({.forecast = at,
                                              .scale = Scale(expert, kWays, at),
                                              .price = moment.price,
                                              .service_s = moment.service_s},
                                             rules);
    forecast.sizes[expert] = sizes[kPaidPrice];
    for (size_t i = 0; i < kPrices; ++i) sum[i] += weights[expert] * sizes[i];
    weight += weights[expert];
  }
  if (moment.settled) open_.push_back(forecast);
  Sizes best;
  for (size_t i = 0; i < kPrices; ++i) best[i] = static_cast<int>(std::lround(sum[i] / weight));
  return best;
}

}  // namespace penstock::autoscale
