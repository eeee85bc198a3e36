// Why a deployment has as many replicas as it has: the journal of its autoscaler, for people and
// programs.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>

#include "autoscale/journal.h"
#include "control/deployment.h"
#include "penstock/status.h"

namespace penstock::control {

// {"app", "deployment", "target_num_replicas", "running", "autoscaled", "changes": [{"time_s",
// "from", "to", "rule", "running", "requests", "queued", "target_ongoing_requests", "wanted",
// "desired", "min_replicas", "max_replicas", "bound", "would_be"}]}, the oldest change first.
// `wanted` is before gains, `desired` before delays and bounds; `bound` names the option that cut
// it, or is null. With `other`, options to decide by instead, `would_be` is what they make of the
// same facts, null where they do not suffice. Of penstock:slo there is `forecast`, what it expected
// to need one start-up time later.
nlohmann::json ScalingJson(const Deployment& deployment, const autoscale::Journal* journal,
                           const std::optional<AutoscalingSpec>& other);

}  // namespace penstock::control
