#include "app/variables.h"

#include <cmath>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <utility>

#include "control/snapshot_json.h"

namespace penstock::app {
namespace {

using Json = nlohmann::json;

constexpr const char* kResources = "RAY_OVERRIDE_RESOURCES";
constexpr const char* kLabels = "RAY_OVERRIDE_LABELS";
constexpr double kMostSeconds = 1e9;  // what a Duration holds, and more than anybody waits
constexpr const char* kSlowStartup = "RAY_SERVE_SLOW_STARTUP_WARNING_S";
constexpr const char* kNodeId = "ray.io/node-id";

std::string TextOf(const base::Environment& environment, const char* name) {
  const auto found = environment.find(name);
  return found == environment.end() ? "" : found->second;
}

// An empty object when the variable is not set.
Result<Json> ObjectIn(const base::Environment& environment, const char* name, const char* what) {
  const std::string text = TextOf(environment, name);
  if (text.empty()) return Json::object();
  Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (json.is_object()) return json;
  return InvalidArgument(std::string(name) + " must be a JSON object of " + what + ", got '" +
                         text + "'");
}

Status WrongEntry(const char* name, const std::string& what, const Json& value) {
  return InvalidArgument(std::string(name) + ": " + what + ", got " + value.dump());
}

// A number of seconds, 0 or more.
Result<double> SecondsOf(const base::Environment& environment, const char* name, double otherwise) {
  const std::string text = TextOf(environment, name);
  if (text.empty()) return otherwise;
  char* end = nullptr;
  const double seconds = std::strtod(text.c_str(), &end);
  if (*end == '\0' && std::isfinite(seconds) && seconds >= 0 && seconds <= kMostSeconds) {
    return seconds;
  }
  return InvalidArgument(std::string(name) + " must be a number of seconds from 0 to 1e9, got '" +
                         text + "'");
}

}  // namespace

Result<std::map<std::string, double>> ResourceOverrides(const base::Environment& environment) {
  const auto json = ObjectIn(environment, kResources, "amounts, e.g. '{\"CPU\": 2}'");
  if (!json.ok()) return json.status();
  std::map<std::string, double> overrides;
  for (const auto& [name, amount] : json->items()) {
    if (!amount.is_number()) {
      return WrongEntry(kResources, "the amount of '" + name + "' must be a number", amount);
    }
    overrides[name] = amount.get<double>();
  }
  return overrides;
}

Result<resources::Labels> LabelOverrides(const base::Environment& environment) {
  const auto json = ObjectIn(environment, kLabels, "texts, e.g. '{\"zone\": \"a\"}'");
  if (!json.ok()) return json.status();
  resources::Labels labels;
  for (const auto& [key, value] : json->items()) {
    if (!value.is_string()) {
      return WrongEntry(kLabels, "the value of '" + key + "' must be a text", value);
    }
    if (key == kNodeId) return WrongEntry(kLabels, "the id of a node is not to be chosen", value);
    labels[key] = value.get<std::string>();
  }
  if (Status bad = resources::CheckLabels(labels); !bad.ok()) {
    return InvalidArgument(std::string(kLabels) + ": " + bad.message());
  }
  return labels;
}

Result<double> SlowStartup_s(const base::Environment& environment) {
  return SecondsOf(environment, kSlowStartup, control::kSlowStartup_s);
}

Result<control::CompactionOptions> CompactionTimes(const base::Environment& environment) {
  control::CompactionOptions options;
  for (const auto& [name, time] :
       {std::pair("RAY_SERVE_NODE_COMPACTION_DELAY_S", &options.delay),
        std::pair("RAY_SERVE_COMPACTION_TIMEOUT_S", &options.timeout),
        std::pair("RAY_SERVE_COMPACTION_MAX_BACKOFF_TIME_S", &options.most_backoff)}) {
    const auto seconds = SecondsOf(environment, name, ToSeconds(*time));
    if (!seconds.ok()) return seconds.status();
    *time = FromSeconds(*seconds);
  }
  return options;
}

}  // namespace penstock::app
