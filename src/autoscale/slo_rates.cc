#include "autoscale/slo_rates.h"

#include <algorithm>
#include <cmath>

namespace penstock::autoscale {
namespace {

constexpr int kMinute = 60;
constexpr int kDayMinutes = 24 * 60;
constexpr int kShapeMinutes = 5;               // to either side of the moment asked for
constexpr double kLongMean_s = 12.0 * 3600.0;  // time constant

template <size_t kSize>
double At(const std::array<double, kSize>& ring, std::int64_t index) {
  return ring[static_cast<size_t>(index % static_cast<std::int64_t>(kSize))];
}

}  // namespace

void RateHistory::Add(double arrivals) {
  total_ += arrivals;
  ++seconds_;
  recent_[static_cast<size_t>(seconds_) % recent_.size()] = total_;
  if (seconds_ % kMinute == 0) {
    minutes_[static_cast<size_t>(seconds_ / kMinute) % minutes_.size()] = total_;
  }
  static const double kFade = std::exp(-1 / kLongMean_s);
  sum_ = sum_ * kFade + arrivals;
  weight_ = weight_ * kFade + 1;
}

double RateHistory::Arrived(int ago) const {
  return ago >= seconds_ ? 0 : At(recent_, seconds_ - ago);
}

double RateHistory::Between(int from, int to) const {
  const auto first = std::max<std::int64_t>(0, seconds_ - from);
  const auto last = seconds_ - to;
  if (last <= first) return 0;
  return (At(recent_, last) - At(recent_, first)) / static_cast<double>(last - first);
}

double RateHistory::MinuteRate(std::int64_t around) const {
  return (At(minutes_, around + kShapeMinutes) - At(minutes_, around - kShapeMinutes)) /
         (2.0 * kShapeMinutes * kMinute);
}

std::optional<double> RateHistory::DayShape(int ahead) const {
  const std::int64_t then = seconds_ / kMinute - kDayMinutes;
  const std::int64_t later = then + std::min(ahead, 12 * 3600) / kMinute;
  if (then < 2 * kShapeMinutes) return std::nullopt;
  constexpr double kTiny = 0.1;  // requests per second: a quiet night has no shape
  const double ratio = (MinuteRate(later) + kTiny) / (MinuteRate(then) + kTiny);
  return std::clamp(ratio, 1.0 / 3, 3.0);
}

}  // namespace penstock::autoscale
