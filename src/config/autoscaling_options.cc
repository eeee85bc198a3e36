#include "config/autoscaling_options.h"

#include <algorithm>
#include <string>
#include <string_view>

#include "config/fields.h"

namespace penstock::config {
namespace {

constexpr Range kPositive{.least = 0, .above_least = true};
constexpr Range kNotNegative{.least = 0};

struct NumberOption {
  const char* name;
  double AutoscalingSpec::*field;
  Range range;
};

struct OptionalOption {
  const char* name;
  std::optional<double> AutoscalingSpec::*field;
  Range range;
};

constexpr NumberOption kNumbers[] = {
    {"target_ongoing_requests", &AutoscalingSpec::target_ongoing_requests, kPositive},
    {"metrics_interval_s", &AutoscalingSpec::metrics_interval_s, kPositive},
    {"look_back_period_s", &AutoscalingSpec::look_back_period_s, kPositive},
    {"smoothing_factor", &AutoscalingSpec::smoothing_factor, kPositive},
    {"upscale_delay_s", &AutoscalingSpec::upscale_delay_s, kNotNegative},
    {"downscale_delay_s", &AutoscalingSpec::downscale_delay_s, kNotNegative},
};

constexpr OptionalOption kOptionals[] = {
    {"upscale_smoothing_factor", &AutoscalingSpec::upscale_smoothing_factor, kPositive},
    {"downscale_smoothing_factor", &AutoscalingSpec::downscale_smoothing_factor, kPositive},
    {"upscaling_factor", &AutoscalingSpec::upscaling_factor, kPositive},
    {"downscaling_factor", &AutoscalingSpec::downscaling_factor, kPositive},
    {"downscale_to_zero_delay_s", &AutoscalingSpec::downscale_to_zero_delay_s, kNotNegative},
};

std::string Path(const char* name) { return std::string("autoscaling_config.") + name; }

Status ReadNumbers(const Json& options, AutoscalingSpec& spec) {
  for (const NumberOption& option : kNumbers) {
    const auto found = options.find(option.name);
    if (found == options.end()) continue;
    const auto value = NumberField(Path(option.name), *found, option.range);
    if (!value.ok()) return value.status();
    spec.*option.field = *value;
  }
  for (const OptionalOption& option : kOptionals) {
    if (!Has(options, option.name)) continue;
    const auto value = NumberField(Path(option.name), options.at(option.name), option.range);
    if (!value.ok()) return value.status();
    spec.*option.field = *value;
  }
  return {};
}

Status ReadCounts(const Json& options, AutoscalingSpec& spec) {
  const auto read = [&](const char* name, const Range& range, int& field) -> Status {
    const auto found = options.find(name);
    if (found == options.end()) return {};
    const auto value = WholeField(Path(name), *found, range);
    if (!value.ok()) return value.status();
    field = static_cast<int>(*value);
    return {};
  };
  constexpr double kMostReplicas = 1'000'000;
  if (Status bad = read("min_replicas", {.least = 0, .most = kMostReplicas}, spec.min_replicas);
      !bad.ok()) {
    return bad;
  }
  if (Status bad = read("max_replicas", {.least = 0, .above_least = true, .most = kMostReplicas},
                        spec.max_replicas);
      !bad.ok()) {
    return bad;
  }
  if (!Has(options, "initial_replicas")) return {};
  int initial = 0;
  Status bad = read("initial_replicas", {.least = 0, .most = kMostReplicas}, initial);
  spec.initial_replicas = initial;
  return bad;
}

Status ReadAggregation(const Json& options, AutoscalingSpec& spec) {
  const auto found = options.find("aggregation_function");
  if (found == options.end()) return {};
  const std::string field = Path("aggregation_function");
  auto text = TextField(field, *found);
  if (!text.ok()) return text.status();
  std::string lower = *text;
  std::transform(lower.begin(), lower.end(), lower.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  using Aggregation = AutoscalingSpec::Aggregation;
  if (lower == "mean") {
    spec.aggregation_function = Aggregation::kMean;
  } else if (lower == "max") {
    spec.aggregation_function = Aggregation::kMax;
  } else if (lower == "min") {
    spec.aggregation_function = Aggregation::kMin;
  } else {
    return InvalidArgument(
        field + ": '" + *text +
        "' is not a valid AggregationFunction, allowed are 'mean', 'max', 'min'");
  }
  return {};
}

// The names under which Ray Serve's own default is known; what follows the last '.' or ':'.
bool IsDefaultPolicy(std::string_view path) {
  const std::string_view name = path.substr(path.find_last_of(".:") + 1);
  return name == "default_autoscaling_policy" || name == "replica_queue_length_autoscaling_policy";
}

Status ReadSlo(const Json& kwargs, SloSpec& slo) {
  const std::string path = Path("policy.policy_kwargs");
  if (!kwargs.is_object()) return FieldError(path, "Input should be a valid dictionary", kwargs);
  const auto range = [](double above, double most) {
    return Range{.least = above, .above_least = true, .most = most};
  };
  for (const auto& [name, value] : kwargs.items()) {
    const bool startup = name == "startup_s";
    if (startup && value.is_null()) continue;  // learned
    if (name == "attainment") {
      const auto share = NumberField(path + "." + name, value, {.least = 0.5, .most = 0.9999});
      if (!share.ok()) return share.status();
      slo.attainment = *share;
    } else if (startup || name == "waiting_objective_s") {
      const auto seconds = NumberField(path + "." + name, value, range(0, startup ? 3600 : 600));
      if (!seconds.ok()) return seconds.status();
      (startup ? slo.startup_s.emplace() : slo.waiting_objective_s) = *seconds;
    } else {
      return FieldError(
          path, "'" + name + "' is none of 'waiting_objective_s', 'attainment', 'startup_s'",
          kwargs);
    }
  }
  return {};
}

Status ReadPolicy(const Json& options, AutoscalingSpec& spec) {
  if (!Has(options, "policy")) return {};
  const Json& given = options.at("policy");
  // Its name alone is enough; Ray Serve has no policy that is named so.
  const Json policy = given == kSloPolicy ? Json{{"policy_function", given}} : given;
  if (!policy.is_object()) {
    return FieldError(Path("policy"), "Input should be a valid dictionary or AutoscalingPolicy",
                      policy);
  }
  if (!Has(policy, "policy_function")) return {};  // the default
  auto path = TextField(Path("policy.policy_function"), policy.at("policy_function"));
  if (!path.ok()) return path.status();
  if (IsDefaultPolicy(*path)) return {};
  if (*path == kSloPolicy) {
    return ReadSlo(Has(policy, "policy_kwargs") ? policy.at("policy_kwargs") : Json::object(),
                   spec.slo.emplace());
  }
  if (path->find_first_of(":.") == std::string::npos) {
    return FieldError(Path("policy.policy_function"),
                      "must be an import path of the form 'module:function' or 'module.function'",
                      policy.at("policy_function"));
  }
  spec.policy.emplace();
  spec.policy->policy_function = *std::move(path);
  if (!Has(policy, "policy_kwargs")) return {};
  const Json& kwargs = policy.at("policy_kwargs");
  if (!kwargs.is_object()) {
    return FieldError(Path("policy.policy_kwargs"), "Input should be a valid dictionary", kwargs);
  }
  spec.policy->policy_kwargs = kwargs.dump(-1, ' ', false, Json::error_handler_t::replace);
  return {};
}

std::string Counted(const char* name, int n) {
  return std::string(name) + " (" + std::to_string(n) + ")";
}

Status CheckOrder(const AutoscalingSpec& spec) {
  const std::string min = Counted("min_replicas", spec.min_replicas);
  const std::string max = Counted("max_replicas", spec.max_replicas);
  if (spec.max_replicas < spec.min_replicas) {
    return InvalidArgument("autoscaling_config: " + max + " must be greater than or equal to " +
                           min + "!");
  }
  if (!spec.initial_replicas) return {};
  const std::string initial = Counted("initial_replicas", *spec.initial_replicas);
  if (*spec.initial_replicas < spec.min_replicas) {
    return InvalidArgument("autoscaling_config: " + min + " must be less than or equal to " +
                           initial + "!");
  }
  if (*spec.initial_replicas > spec.max_replicas) {
    return InvalidArgument("autoscaling_config: " + max + " must be greater than or equal to " +
                           initial + "!");
  }
  return {};
}

}  // namespace

Result<AutoscalingSpec> ParseAutoscaling(const Json& options) {
  if (!options.is_object()) {
    return FieldError("autoscaling_config",
                      "Input should be a valid dictionary or instance of AutoscalingConfig",
                      options);
  }
  AutoscalingSpec spec;
  for (Status bad : {ReadNumbers(options, spec), ReadCounts(options, spec),
                     ReadAggregation(options, spec), ReadPolicy(options, spec)}) {
    if (!bad.ok()) return bad;
  }
  if (Status bad = CheckOrder(spec); !bad.ok()) return bad;
  return spec;
}

Json AutoAutoscaling(const Json& options) {
  Json merged = {{"min_replicas", 1}, {"max_replicas", 100}, {"target_ongoing_requests", 2}};
  if (options.is_object()) merged.update(options);
  return merged;
}

}  // namespace penstock::config
