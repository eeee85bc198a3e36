#include "autoscale/slo_hold.h"

#include <algorithm>
#include <cmath>

#include "autoscale/slo_forecast.h"

namespace penstock::autoscale {
namespace {

const double kFade = std::pow(0.5, kForecastPeriod / 14400.0);
constexpr double kIncumbent = 0.99;  // another rule must be a hundredth cheaper
constexpr int kTrial = 240;          // periods before the first choice

}  // namespace

void WantedLately::Note(std::int64_t now_s, int wanted) {
  while (!layers_.empty() && layers_.back().upto <= wanted) layers_.pop_back();
  layers_.push_back({wanted, now_s});
}

int WantedLately::Within(std::int64_t now_s, double hold_s) const {
  for (const Layer& layer : layers_) {
    if (static_cast<double>(now_s - layer.last_s) <= hold_s) return layer.upto;
  }
  return 0;
}

double HoldRules::Hold(size_t index, double startup_s) {
  return std::ldexp(startup_s, static_cast<int>(index) - 1);
}

double HoldRules::Judge(size_t price, size_t hold, const Period& period) {
  const int size = wanted_[price].Within(period.now_s, Hold(hold, period.startup_s));
  auto& held = held_[price][hold];
  held.push_back(size);
  // Replicas count from the order on, and serve once they have started.
  const auto starting = static_cast<size_t>(std::ceil(period.startup_s)) / kForecastPeriod + 2;
  while (held.size() > starting) held.pop_front();
  const int up = *std::min_element(held.begin(), held.end());
  const double late = period.needed > up * period.slots ? period.needed / period.service_s : 0;
  double& cost = costs_[price][hold];
  cost = cost * kFade + size + period.price * late;
  return cost;
}

void HoldRules::Step(const Period& period) {
  for (size_t i = 0; i < kPrices; ++i) wanted_[i].Note(period.now_s, period.wanted[i]);
  size_t best_price = price_;
  size_t best_hold = hold_;
  if (period.settled) {
    double least = 1e300;
    for (size_t price = 0; price < kPrices; ++price) {
      for (size_t hold = 0; hold < kHolds; ++hold) {
        double cost = Judge(price, hold, period);
        if (price == price_ && hold == hold_) cost *= kIncumbent;
        if (cost >= least) continue;
        least = cost;
        best_price = price;
        best_hold = hold;
      }
    }
    if (judged_ < kTrial) ++judged_;
  }
  if (judged_ == kTrial) {
    price_ = best_price;
    hold_ = best_hold;
  }
  hold_s_ = Hold(hold_, period.startup_s);
}

}  // namespace penstock::autoscale
