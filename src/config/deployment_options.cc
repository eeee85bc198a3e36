#include "config/deployment_options.h"

#include <algorithm>
#include <array>
#include <functional>
#include <string_view>

#include "config/actor_options.h"
#include "config/autoscaling_options.h"
#include "config/fields.h"
#include "config/nested_options.h"
#include "config/placement_options.h"
#include "config/router_options.h"

namespace penstock::config {
namespace {

constexpr Range kPositive{.least = 0, .above_least = true};
constexpr Range kNotNegative{.least = 0};

struct WholeOption {
  const char* name;
  int DeploymentSpec::*field;
  Range range;
};

struct NumberOption {
  const char* name;
  double DeploymentSpec::*field;
  Range range;
};

constexpr WholeOption kWholes[] = {
    {"num_replicas", &DeploymentSpec::num_replicas, {.least = 0, .most = 1e6}},
    {"max_ongoing_requests",
     &DeploymentSpec::max_ongoing_requests,
     {.least = 0, .above_least = true, .most = 1e9}},
    {"max_queued_requests", &DeploymentSpec::max_queued_requests, {.most = 1e9}},
    {"max_constructor_retry_count",
     &DeploymentSpec::max_constructor_retry_count,
     {.least = 0, .above_least = true, .most = 1e9}},
    {"max_surge_percent", &DeploymentSpec::max_surge_percent, {.least = 0, .most = 100}},
    {"priority", &DeploymentSpec::priority, {.least = -1000, .most = 1000}},
};

constexpr NumberOption kNumbers[] = {
    {"graceful_shutdown_timeout_s", &DeploymentSpec::graceful_shutdown_timeout_s, kNotNegative},
    {"graceful_shutdown_wait_loop_s", &DeploymentSpec::graceful_shutdown_wait_loop_s, kNotNegative},
    {"health_check_period_s", &DeploymentSpec::health_check_period_s, kPositive},
    {"health_check_timeout_s", &DeploymentSpec::health_check_timeout_s, kPositive},
    {"rolling_update_percentage",
     &DeploymentSpec::rolling_update_percentage,
     {.least = 0, .above_least = true, .most = 1}},
};

constexpr std::array<std::string_view, 12> kOthers{
    "ray_actor_options",        "placement_group_bundles",
    "placement_group_strategy", "placement_group_bundle_label_selector",
    "max_replicas_per_node",    "user_config",
    "backpressure_config",      "autoscaling_config",
    "logging_config",           "request_router_config",
    "gang_scheduling_config",   "deployment_actors"};

// Accepted by Ray Serve; not acted upon here yet.
constexpr std::array<std::string_view, 1> kNotYet{"deployment_actors"};

bool Known(std::string_view name) {
  const auto named = [&](const auto& option) { return name == option.name; };
  return std::any_of(std::begin(kWholes), std::end(kWholes), named) ||
         std::any_of(std::begin(kNumbers), std::end(kNumbers), named) ||
         std::find(kOthers.begin(), kOthers.end(), name) != kOthers.end();
}

// max_surge_percent="auto".
bool IsAutoSurge(const WholeOption& option, const Json& value) {
  return option.field == &DeploymentSpec::max_surge_percent && value == "auto";
}

Status CheckQueued(const Json& value, std::int64_t n) {
  if (n == -1 || n >= 1) return {};
  return FieldError("max_queued_requests",
                    "max_queued_requests must be -1 (no limit) or a positive integer.", value);
}

// Coerces one call's plain numbers in place.
Status CoerceWholes(Json& call) {
  for (const WholeOption& option : kWholes) {
    const auto found = call.find(option.name);
    if (found == call.end() || IsAutoSurge(option, *found)) continue;
    const auto n = WholeField(option.name, *found, option.range);
    if (!n.ok()) return n.status();
    if (std::string_view(option.name) == "max_queued_requests") {
      if (Status bad = CheckQueued(*found, *n); !bad.ok()) return bad;
    }
    *found = *n;
  }
  return {};
}

Status CoerceNumbers(Json& call) {
  for (const NumberOption& option : kNumbers) {
    const auto found = call.find(option.name);
    if (found == call.end()) continue;
    const auto number = NumberField(option.name, *found, option.range);
    if (!number.ok()) return number.status();
    *found = *number;
  }
  return {};
}

// num_replicas: "auto" and None have meanings of their own, and exclude a number elsewhere.
Status ResolveReplicas(Json& call) {
  const auto found = call.find("num_replicas");
  if (found == call.end()) return {};
  if (found->is_string() && *found == "auto") {
    call["autoscaling_config"] = AutoAutoscaling(call.value("autoscaling_config", Json()));
    call.erase("num_replicas");
    return {};
  }
  if (found->is_null()) {
    call.erase("num_replicas");
    return {};
  }
  if (*found == 0) return InvalidArgument("num_replicas is expected to larger than 0");
  if (Has(call, "autoscaling_config")) {
    return InvalidArgument(
        "Manually setting num_replicas is not allowed when autoscaling_config is provided.");
  }
  return {};
}

Status CheckNested(const Json& call) {
  const auto check = [&](const char* name, const std::function<Status(const Json&)>& checker) {
    return Has(call, name) ? checker(call.at(name)) : Status();
  };
  for (Status bad :
       {check("autoscaling_config", [](const Json& v) { return ParseAutoscaling(v).status(); }),
        check("ray_actor_options", [](const Json& v) { return ParseActorOptions(v).status(); }),
        check("backpressure_config", [](const Json& v) { return ParseBackpressure(v).status(); }),
        check("max_replicas_per_node",
              [](const Json& v) { return ParseMaxReplicasPerNode(v).status(); }),
        check("logging_config", [](const Json& v) { return ParseLogging(v).status(); }),
        check("request_router_config",
              [](const Json& v) { return ParseRequestRouter(v).status(); }),
        check("gang_scheduling_config", [](const Json& v) { return ParseGang(v).status(); }),
        check("deployment_actors", CheckDeploymentActors)}) {
    if (!bad.ok()) return bad;
  }
  return {};
}

Status CheckGangCombination(const Json& merged) {
  if (!Has(merged, "gang_scheduling_config")) return {};
  const auto gang = ParseGang(merged.at("gang_scheduling_config"));
  if (!gang.ok()) return gang.status();
  const auto replicas = merged.value("num_replicas", std::int64_t{1});
  if (!Has(merged, "autoscaling_config") && replicas % gang->gang_size != 0) {
    return InvalidArgument("num_replicas (" + std::to_string(replicas) +
                           ") must be a multiple of gang_size (" + std::to_string(gang->gang_size) +
                           ").");
  }
  for (const char* option : {"max_replicas_per_node", "placement_group_strategy"}) {
    if (!Has(merged, option)) continue;
    return InvalidArgument(std::string("Setting ") + option +
                           " is not allowed when gang_scheduling_config is provided.");
  }
  return {};
}

Status CheckCombination(const Json& merged) {
  const auto replica = ParseActorOptions(merged.value("ray_actor_options", Json()));
  if (!replica.ok()) return replica.status();
  if (Status bad = CheckPlacementGroup(merged, *replica); !bad.ok()) return bad;
  return CheckGangCombination(merged);
}

Status ReadPlain(const Json& merged, DeploymentSpec& spec) {
  for (const WholeOption& option : kWholes) {
    if (!Has(merged, option.name)) continue;
    if (IsAutoSurge(option, merged.at(option.name))) {
      spec.auto_surge = true;
      continue;
    }
    const auto n = WholeField(option.name, merged.at(option.name), option.range);
    if (!n.ok()) return n.status();
    spec.*option.field = static_cast<int>(*n);
  }
  for (const NumberOption& option : kNumbers) {
    if (!Has(merged, option.name)) continue;
    const auto number = NumberField(option.name, merged.at(option.name), option.range);
    if (!number.ok()) return number.status();
    spec.*option.field = *number;
  }
  return {};
}

template <class T, class U>
Status Assign(Result<T> parsed, U& field) {
  if (!parsed.ok()) return parsed.status();
  field = *std::move(parsed);
  return {};
}

Status ReadNested(const Json& merged, DeploymentSpec& spec) {
  Status bad;
  if (Has(merged, "autoscaling_config")) {
    bad = Assign(ParseAutoscaling(merged.at("autoscaling_config")), spec.autoscaling);
  }
  if (bad.ok() && Has(merged, "backpressure_config")) {
    bad = Assign(ParseBackpressure(merged.at("backpressure_config")), spec.backpressure);
  }
  if (bad.ok() && Has(merged, "request_router_config")) {
    bad = Assign(ParseRequestRouter(merged.at("request_router_config")), spec.request_router);
  }
  if (bad.ok() && Has(merged, "logging_config")) {
    bad = Assign(ParseLogging(merged.at("logging_config")), spec.logging);
  }
  if (bad.ok() && Has(merged, "max_replicas_per_node")) {
    bad = Assign(ParseMaxReplicasPerNode(merged.at("max_replicas_per_node")),
                 spec.max_replicas_per_node);
  }
  if (bad.ok()) bad = Assign(ParsePlacementGroup(merged), spec.placement_group);
  if (bad.ok() && Has(merged, "gang_scheduling_config")) {
    bad = Assign(ParseGang(merged.at("gang_scheduling_config")), spec.gang);
  }
  const Json actor = merged.value("ray_actor_options", Json());
  if (bad.ok()) bad = Assign(ParseActorOptions(actor), spec.replica_resources);
  if (bad.ok() && actor.is_object()) {
    bad = Assign(ParseRuntimeEnv(actor.value("runtime_env", Json())),
                 spec.replica_resources.runtime_env);
  }
  return bad;
}

}  // namespace

Result<Json> MergeOptions(const Json& set_before, const Json& call) {
  Json set_now = call;
  for (const auto& [name, value] : call.items()) {
    if (!Known(name)) return InvalidArgument("unknown deployment option '" + name + "'");
  }
  if (call.contains("max_ongoing_requests") && call.at("max_ongoing_requests").is_null()) {
    return InvalidArgument("`max_ongoing_requests` must be non-null, got None.");
  }
  for (const auto& step : {ResolveReplicas, CoerceWholes, CoerceNumbers}) {
    if (Status bad = step(set_now); !bad.ok()) return bad;
  }
  if (Status bad = CheckNested(set_now); !bad.ok()) return bad;
  Json merged = set_before;
  for (auto& [name, value] : set_now.items()) {
    if (value.is_null() && name != "user_config") {
      merged.erase(name);
    } else {
      merged[name] = std::move(value);
    }
  }
  if (Status bad = CheckCombination(merged); !bad.ok()) return bad;
  return merged;
}

Result<DeploymentSpec> SpecFromOptions(const std::string& name, const Json& merged) {
  DeploymentSpec spec;
  spec.name = name;
  if (Status bad = ReadPlain(merged, spec); !bad.ok()) return bad;
  if (Status bad = ReadNested(merged, spec); !bad.ok()) return bad;
  spec.user_config = merged.value("user_config", Json()).dump();
  return spec;
}

std::vector<std::string> NotActedUpon(const Json& merged) {
  std::vector<std::string> names;
  for (const auto name : kNotYet) {
    const std::string key(name);
    if (Has(merged, key.c_str()) && merged.at(key) != 0) names.push_back(key);
  }
  return names;
}

}  // namespace penstock::config
