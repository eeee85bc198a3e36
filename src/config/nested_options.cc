#include "config/nested_options.h"

#include <algorithm>
#include <initializer_list>
#include <set>
#include <string_view>
#include <utility>
#include <vector>

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

constexpr std::pair<std::string_view, int> kLogLevels[] = {
    {"CRITICAL", 50}, {"FATAL", 50}, {"ERROR", 40}, {"WARN", 30},
    {"WARNING", 30},  {"INFO", 20},  {"DEBUG", 10}, {"NOTSET", 0}};

// By name or by number.
Result<int> LogLevelFrom(const Json& level) {
  for (const auto& [name, number] : kLogLevels) {
    if (level == name || (level.is_number_integer() && level == number)) return number;
  }
  return FieldError("logging_config.log_level",
                    "log_level must be one of ['CRITICAL', 'FATAL', 'ERROR', 'WARN', 'WARNING', "
                    "'INFO', 'DEBUG', 'NOTSET'] or one of [0, 10, 20, 30, 40, 50]",
                    level);
}

// Of Python's LogRecord.
constexpr std::string_view kRecordAttributes[] = {
    "args",      "asctime",   "created", "exc_info",    "exc_text",        "filename",   "funcName",
    "levelname", "levelno",   "lineno",  "message",     "module",          "msecs",      "msg",
    "name",      "pathname",  "process", "processName", "relativeCreated", "stack_info", "taskName",
    "thread",    "threadName"};

Result<std::vector<std::string>> RecordAttributesFrom(const Json& names) {
  constexpr const char* kField = "logging_config.additional_log_standard_attrs";
  if (!names.is_array()) return FieldError(kField, "Input should be a valid list", names);
  std::vector<std::string> attributes;
  for (const Json& name : names) {
    const bool known = std::any_of(std::begin(kRecordAttributes), std::end(kRecordAttributes),
                                   [&](std::string_view attribute) { return name == attribute; });
    if (!known) return FieldError(kField, "Unknown attribute of Python's LogRecord", name);
    attributes.push_back(name);
  }
  return attributes;
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

Result<LoggingSpec> ParseLogging(const Json& options) {
  if (Status bad = OnlyKeys("logging_config", options,
                            {"encoding", "log_level", "logs_dir", "enable_access_log",
                             "additional_log_standard_attrs"});
      !bad.ok()) {
    return bad;
  }
  LoggingSpec spec;
  if (Has(options, "encoding")) {
    const Json& encoding = options.at("encoding");
    if (Status bad = OneOf("logging_config.encoding", encoding, {"TEXT", "JSON"},
                           "Encoding must be one of {'TEXT', 'JSON'}");
        !bad.ok()) {
      return bad;
    }
    spec.json = encoding == "JSON";
  }
  if (options.contains("log_level")) {
    const auto level = LogLevelFrom(options.at("log_level"));
    if (!level.ok()) return level.status();
    spec.log_level = *level;
  }
  if (Has(options, "logs_dir")) {
    auto folder = TextField("logging_config.logs_dir", options.at("logs_dir"));
    if (!folder.ok()) return folder.status();
    spec.logs_dir = *std::move(folder);
  }
  if (options.contains("enable_access_log")) {
    const Json& wanted = options.at("enable_access_log");
    if (!wanted.is_boolean() && wanted != 0 && wanted != 1) {
      return FieldError("logging_config.enable_access_log", "Input should be a valid boolean",
                        wanted);
    }
    spec.enable_access_log = wanted == true || wanted == 1;
  }
  if (!Has(options, "additional_log_standard_attrs")) return spec;
  auto attributes = RecordAttributesFrom(options.at("additional_log_standard_attrs"));
  if (!attributes.ok()) return attributes.status();
  spec.additional_log_standard_attrs = *std::move(attributes);
  return spec;
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
