#include "app/variables.h"

#include <cmath>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "control/snapshot_json.h"

namespace penstock::app {
namespace {

using Json = nlohmann::json;

constexpr const char* kResources = "RAY_OVERRIDE_RESOURCES";
constexpr const char* kLabels = "RAY_OVERRIDE_LABELS";
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
  const std::string text = TextOf(environment, kSlowStartup);
  if (text.empty()) return control::kSlowStartup_s;
  char* end = nullptr;
  const double seconds = std::strtod(text.c_str(), &end);
  if (*end == '\0' && std::isfinite(seconds) && seconds >= 0) return seconds;
  return InvalidArgument(std::string(kSlowStartup) +
                         " must be a number of seconds, 0 or more, got '" + text + "'");
}

}  // namespace penstock::app
