// What a router has counted, by deployment.
#pragma once

#include <string>
#include <vector>

#include "base/metrics.h"
#include "route/router.h"

namespace penstock::route {

// `name` tells routers apart in the samples.
std::vector<base::MetricFamily> RouterMetrics(const Router& router, const std::string& name);

}  // namespace penstock::route
