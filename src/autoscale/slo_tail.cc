#include "autoscale/slo_tail.h"

#include <algorithm>
#include <cmath>

namespace penstock::autoscale {
namespace {

constexpr double kFirst = -4;
constexpr double kWidth = 0.05;
constexpr double kPriorErrors = 24;
constexpr double kTooHeavy = 1e9;  // weights are scaled down beyond this

template <size_t kSize>
std::array<double, kSize> MakeUpperEdges() {
  std::array<double, kSize> edges{};
  for (size_t i = 0; i < kSize; ++i) {
    edges[i] = std::sinh(kFirst + kWidth * (static_cast<double>(i) + 1));
  }
  return edges;
}

}  // namespace

ErrorTail::ErrorTail(double mean, double deviation) {
  for (size_t i = 0; i < bins_.size(); ++i) {
    const double at = std::sinh(kFirst + kWidth * (static_cast<double>(i) + 0.5));
    const double z = (at - mean) / deviation;
    bins_[i] = std::exp(-z * z / 2) * std::sqrt(1 + at * at);  // the bin's width grows so
    total_ += bins_[i];
  }
  for (double& bin : bins_) bin *= kPriorErrors / total_;
  total_ = kPriorErrors;
}

void ErrorTail::Add(double error, double fade) {
  unit_ /= fade;
  const int bin = static_cast<int>((std::asinh(error) - kFirst) / kWidth);
  bins_[static_cast<size_t>(std::clamp(bin, 0, kBins - 1))] += unit_;
  total_ += unit_;
  if (unit_ < kTooHeavy) return;
  for (double& weight : bins_) weight /= unit_;
  total_ /= unit_;
  unit_ = 1;
}

Sizes ErrorTail::Best(const Question& question, const SizeRules& rules) const {
  static const auto kUpper = MakeUpperEdges<kBins>();
  Sizes best;
  best.fill(rules.least);
  std::array<double, kPrices> value;
  value.fill(-1e300);
  const double worth = question.price / question.service_s / total_;
  double in_time = 0;  // sum of need over all bins that are covered
  for (size_t i = 0; i < bins_.size(); ++i) {
    const double need = std::max(0.0, question.forecast + kUpper[i] * question.scale);
    in_time += bins_[i] * need;
    const double replicas = std::max<double>(rules.least, std::ceil(need / rules.slots));
    if (replicas > rules.most) break;
    for (size_t price = 0; price < kPrices; ++price) {
      const double gain = worth * kPriceRatios[price] * in_time - replicas;
      if (gain <= value[price]) continue;
      value[price] = gain;
      best[price] = static_cast<int>(replicas);
    }
  }
  return best;
}

}  // namespace penstock::autoscale
