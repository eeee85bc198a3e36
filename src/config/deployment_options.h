// The options of a deployment: `@serve.deployment(...)`, `.options(...)` and config files.
//
// Options travel as one JSON object of what the user set, so that "not set" stays different from
// "set to the default". Sources: behaviour specification, 2.1 (ranges) and 2.2 (messages).
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "penstock/deployment.h"
#include "penstock/status.h"

namespace penstock::config {

// The options of one call laid over those set before. Checks each option and their combination;
// returns what is set now, values coerced and num_replicas="auto" spelled out. kInvalidArgument
// or kWrongType with the message to show; kInvalidArgument for an unknown key.
Result<nlohmann::json> MergeOptions(const nlohmann::json& set_before, const nlohmann::json& call);

// What merged options amount to. The runtime environment is checked here, when it is about to
// be used. Same errors, and kUnimplemented.
Result<DeploymentSpec> SpecFromOptions(const std::string& name, const nlohmann::json& merged);

// The set options that this engine takes but does not act on yet, by name, in order.
std::vector<std::string> NotActedUpon(const nlohmann::json& merged);

}  // namespace penstock::config
