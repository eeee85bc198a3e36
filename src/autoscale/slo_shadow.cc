#include "autoscale/slo_shadow.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace penstock::autoscale {
namespace {

constexpr double kLeast = 0.5;  // slots

}  // namespace

ShadowQueues::ShadowQueues(double most)
    : ratio_(std::pow(2 * std::max(1.0, most) / kLeast, 1.0 / (kQueues - 1))) {}

void ShadowQueues::Add(const Second& second) {
  const double stay = std::exp(-1 / second.service_s);
  const double grow = second.arrivals * second.service_s * (1 - stay);
  const double allowed = 1 + second.objective_s / second.service_s;
  const double relieved = allowed + second.startup_s / second.service_s;
  double slots = kLeast;
  double needed = 0;
  for (double& in_system : in_system_) {
    // With room each request leaves at its own pace, without it all slots work: whichever is
    // slower.
    const double room = in_system * stay + grow;
    const double full = in_system + second.arrivals - slots / second.service_s;
    in_system = std::min(std::max(room, full), slots * relieved);
    if (in_system > slots * allowed) needed = slots;
    slots *= ratio_;
  }
  // Between the largest that was too small and the next.
  need_ = std::max(need_, needed * std::sqrt(ratio_));
}

double ShadowQueues::TakeNeed() { return std::exchange(need_, 0); }

}  // namespace penstock::autoscale
