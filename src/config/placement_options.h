// The options of a deployment that shape where its replicas go: bundles, strategy, spreading.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>

#include "penstock/deployment.h"
#include "penstock/status.h"

namespace penstock::config {

// `max_replicas_per_node`: null or 1..100. kWrongType for what is no whole number.
Result<std::optional<int>> ParseMaxReplicasPerNode(const nlohmann::json& value);

// `placement_group_bundles`, `_strategy` and `_bundle_label_selector` of options that
// CheckPlacementGroup passed; none without bundles.
Result<std::optional<PlacementGroupSpec>> ParsePlacementGroup(const nlohmann::json& options);

// `gang_scheduling_config`: gang_size >= 1, gang_placement_strategy PACK or SPREAD,
// runtime_failure_policy RESTART_GANG. kUnimplemented for RESTART_REPLICA, as in Ray Serve.
Result<GangSpec> ParseGang(const nlohmann::json& options);

// Everything of `options` (the whole of a deployment's) that concerns placement groups, with
// Ray Serve's messages: the bundles, their strategy and labels, what must not be combined, and
// that the replica fits its first bundle.
Status CheckPlacementGroup(const nlohmann::json& options, const ReplicaResources& replica);

}  // namespace penstock::config
