// The options of a deployment that are objects of their own, apart from the large ones.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "penstock/deployment.h"
#include "penstock/status.h"

namespace penstock::config {

// `backpressure_config`: status_code 503 or 429, retry_after_s >= 0; other keys are refused.
Result<BackpressureSpec> ParseBackpressure(const nlohmann::json& options);

// `logging_config`: level name or number, encoding, folder, known attributes; other keys are
// refused.
Result<LoggingSpec> ParseLogging(const nlohmann::json& options);

// `deployment_actors`: a list with unique names.
Status CheckDeploymentActors(const nlohmann::json& options);

}  // namespace penstock::config
