#include "config/nested_options.h"

#include <algorithm>
#include <array>
#include <initializer_list>
#include <set>
#include <string_view>

#include "config/fields.h"

namespace penstock::config {
namespace {

using Names = std::initializer_list<std::string_view>;

// What pydantic says of a key that a closed model does not have.
Status OnlyKeys(const char* option, const Json& options, Names allowed) {
  if (!options.is_object())
    return FieldError(option, "Input should be a valid dictionary", options);
  for (const auto& [key, value] : options.items()) {
    if (std::find(allowed.begin(), allowed.end(), key) != allowed.end()) continue;
    std::string names;
    for (const auto name : allowed) names += (names.empty() ? "" : ", ") + std::string(name);
    return InvalidArgument(std::string(option) + "." + key +
                           ": Extra inputs are not permitted, allowed are " + names);
  }
  return {};
}

Status OneOf(const std::string& field, const Json& value, Names allowed, const std::string& what) {
  if (value.is_string() && std::find(allowed.begin(), allowed.end(),
                                     value.get_ref<const std::string&>()) != allowed.end()) {
    return {};
  }
  return FieldError(field, what, value);
}

Status CheckLogLevel(const Json& level) {
  static constexpr std::array<std::int64_t, 6> kNumbers{0, 10, 20, 30, 40, 50};
  if (level.is_number_integer() &&
      std::find(kNumbers.begin(), kNumbers.end(), level.get<std::int64_t>()) != kNumbers.end()) {
    return {};
  }
  return OneOf("logging_config.log_level", level,
               {"CRITICAL", "FATAL", "ERROR", "WARN", "WARNING", "INFO", "DEBUG", "NOTSET"},
               "log_level must be one of ['CRITICAL', 'FATAL', 'ERROR', 'WARN', 'WARNING', 'INFO', "
               "'DEBUG', 'NOTSET']");
}

}  // namespace

Result<BackpressureSpec> ParseBackpressure(const Json& options) {
  if (Status bad = OnlyKeys("backpressure_config", options, {"status_code", "retry_after_s"});
      !bad.ok()) {
    return bad;
  }
  BackpressureSpec spec;
  if (const auto code = options.find("status_code"); code != options.end()) {
    if (*code != 503 && *code != 429) {
      return FieldError("backpressure_config.status_code", "Input should be 503 or 429", *code);
    }
    spec.status_code = code->get<int>();
  }
  if (Has(options, "retry_after_s")) {
    const auto seconds =
        NumberField("backpressure_config.retry_after_s", options.at("retry_after_s"), {.least = 0});
    if (!seconds.ok()) return seconds.status();
    spec.retry_after_s = *seconds;
  }
  return spec;
}

Status CheckLogging(const Json& options) {
  if (Status bad = OnlyKeys("logging_config", options,
                            {"encoding", "log_level", "logs_dir", "enable_access_log",
                             "additional_log_standard_attrs"});
      !bad.ok()) {
    return bad;
  }
  if (options.contains("log_level")) {
    if (Status bad = CheckLogLevel(options.at("log_level")); !bad.ok()) return bad;
  }
  if (!options.contains("encoding")) return {};
  return OneOf("logging_config.encoding", options.at("encoding"), {"TEXT", "JSON"},
               "Encoding must be one of {'TEXT', 'JSON'}");
}

Status CheckGang(const Json& options) {
  if (!options.is_object() || !options.contains("gang_size")) {
    return FieldError("gang_scheduling_config.gang_size", "Field required", options);
  }
  const auto size =
      WholeField("gang_scheduling_config.gang_size", options.at("gang_size"), {.least = 1});
  return size.ok() ? Status() : size.status();
}

Status CheckDeploymentActors(const Json& options) {
  if (!options.is_array()) {
    return FieldError("deployment_actors", "Input should be a valid list", options);
  }
  std::set<std::string> names;
  for (const Json& actor : options) {
    if (!actor.is_object() || !Has(actor, "name")) {
      return FieldError("deployment_actors.name", "Field required", actor);
    }
    const auto text = TextField("deployment_actors.name", actor.at("name"));
    if (!text.ok()) return text.status();
    const std::string& name = *text;
    if (name.empty()) return FieldError("deployment_actors.name", "Field required", actor);
    if (!names.insert(name).second) {
      return InvalidArgument("deployment_actors must have unique names. Duplicate name(s): ['" +
                             name + "']");
    }
  }
  return {};
}

}  // namespace penstock::config
