// What the controller itself has to show: statuses, health, sizes.
#pragma once

#include <vector>

#include "base/metrics.h"

namespace penstock::control {

class Controller;

std::vector<base::MetricFamily> ControllerMetrics(const Controller& controller);

}  // namespace penstock::control
