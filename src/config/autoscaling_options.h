// `autoscaling_config`: what is written, as a spec.
#pragma once

#include <nlohmann/json.hpp>

#include "penstock/deployment.h"
#include "penstock/status.h"

namespace penstock::config {

// Checks ranges and the order min <= initial <= max. Unknown keys are ignored, as Ray Serve does.
// kInvalidArgument naming the field.
Result<AutoscalingSpec> ParseAutoscaling(const nlohmann::json& options);

// What num_replicas="auto" stands for: min 1, max 100, target 2, with the keys of `options` over
// it (an object or null).
nlohmann::json AutoAutoscaling(const nlohmann::json& options);

}  // namespace penstock::config
