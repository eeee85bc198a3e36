#include "control/traffic.h"

#include <algorithm>
#include <utility>

namespace penstock::control {

void Traffic::Note(const std::string& router, const Report& report) {
  const auto [known, fresh] = routers_.try_emplace(router);
  Report& before = known->second;
  const double holds = report.queued + report.running;
  // A count that is smaller than before is another process of the same name.
  if (fresh || report.arrived < before.arrived) {
    arrivals_ += holds;
  } else {
    const auto arrived = static_cast<double>(report.arrived - before.arrived);
    arrivals_ += arrived;
    completed_ += std::max(0.0, arrived + before.queued + before.running - holds);
  }
  before = report;
}

void Traffic::Forget(const std::string& router) { routers_.erase(router); }

Traffic::Sum Traffic::Take() {
  Sum sum{.arrivals = std::exchange(arrivals_, 0), .completed = std::exchange(completed_, 0)};
  for (const auto& [name, report] : routers_) {
    sum.queued += report.queued;
    sum.running += report.running;
  }
  return sum;
}

}  // namespace penstock::control
