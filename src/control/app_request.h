// A deploy as it is asked for: checked as a whole before anything changes.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "control/state.h"
#include "penstock/status.h"

namespace penstock::control {

struct AppRequest {
  App app;
  std::vector<std::pair<std::string, Target>> deployments;  // by name
};

// Parses the control protocol's `serve.deploy` (docs/design/control-protocol.md). `code_version`
// becomes that of every deployment that names none; so does `logging_config`, the instance's, when
// neither the deployment nor the application has one. kInvalidArgument, kWrongType or
// kUnimplemented with the message to show.
Result<AppRequest> ParseAppRequest(const nlohmann::json& params, const std::string& code_version,
                                   const nlohmann::json& logging_config = nullptr);

// Ray Serve's rules for a route prefix. kInvalidArgument.
Status CheckRoutePrefix(const std::string& prefix);

// kAlreadyExists when another living application has the prefix, with Ray Serve's words.
Status CheckPrefixFree(const App& app, const std::map<std::string, App>& apps);

}  // namespace penstock::control
