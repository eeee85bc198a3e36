// Ray's environment variables that say what a node has and how the controller behaves, checked:
// what cannot be read is kInvalidArgument that names variable, value and what is allowed. A
// variable that is empty counts as not set.
#pragma once

#include <map>
#include <string>

#include "base/environment.h"
#include "control/compaction.h"
#include "penstock/status.h"
#include "resources/labels.h"

namespace penstock::app {

// RAY_OVERRIDE_RESOURCES: amounts that win over the flags; none without it.
Result<std::map<std::string, double>> ResourceOverrides(const base::Environment& environment);

// RAY_OVERRIDE_LABELS: labels that win over the flags; Ray's own, "ray.io/...", are allowed.
Result<resources::Labels> LabelOverrides(const base::Environment& environment);

// RAY_SERVE_SLOW_STARTUP_WARNING_S, in seconds; 30 without it.
Result<double> SlowStartup_s(const base::Environment& environment);

// RAY_SERVE_NODE_COMPACTION_DELAY_S, RAY_SERVE_COMPACTION_TIMEOUT_S and
// RAY_SERVE_COMPACTION_MAX_BACKOFF_TIME_S, in seconds.
Result<control::CompactionOptions> CompactionTimes(const base::Environment& environment);

}  // namespace penstock::app
