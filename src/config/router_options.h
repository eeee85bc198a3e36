// The option request_router_config.
#pragma once

#include <nlohmann/json.hpp>

#include "penstock/deployment.h"
#include "penstock/status.h"

namespace penstock::config {

// `request_router_class`: an import path, "module:Class" or "module.Class"; Serve's own routers
// are known by name, everything else is custom. `request_router_kwargs`: an object; those of the
// consistent hash are checked. Times and the multiplier are positive. Keys that Ray Serve does not
// have are ignored, as it does.
Result<RequestRouterSpec> ParseRequestRouter(const nlohmann::json& options);

}  // namespace penstock::config
