// `ray_actor_options`: what each replica gets.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "penstock/deployment.h"
#include "penstock/status.h"

namespace penstock::config {

// Checks keys, types and ranges, with Ray's messages: kWrongType where Ray raises TypeError,
// kInvalidArgument where it raises ValueError. null means none were given.
// `object_store_memory` is accepted and accounted for (docs/differences.md).
Result<ReplicaResources> ParseActorOptions(const nlohmann::json& options);

// The runtime environment inside them. Checked apart, at deployment, as Ray does: a definition
// may be imported where its environment cannot be made. kInvalidArgument, kUnimplemented.
Result<RuntimeEnv> ParseRuntimeEnv(const nlohmann::json& runtime_env);

}  // namespace penstock::config
