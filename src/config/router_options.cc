#include "config/router_options.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

#include "config/fields.h"

namespace penstock::config {
namespace {

using Kind = RequestRouterSpec::Kind;

constexpr std::array<std::pair<std::string_view, Kind>, 3> kOwn{
    {{"PowerOfTwoChoicesRequestRouter", Kind::kPowerOfTwoChoices},
     {"RoundRobinRouter", Kind::kRoundRobin},
     {"ConsistentHashRouter", Kind::kConsistentHash}}};

constexpr std::array<std::pair<const char*, double RequestRouterSpec::*>, 5> kNumbers{
    {{"request_routing_stats_period_s", &RequestRouterSpec::request_routing_stats_period_s},
     {"request_routing_stats_timeout_s", &RequestRouterSpec::request_routing_stats_timeout_s},
     {"initial_backoff_s", &RequestRouterSpec::initial_backoff_s},
     {"backoff_multiplier", &RequestRouterSpec::backoff_multiplier},
     {"max_backoff_s", &RequestRouterSpec::max_backoff_s}}};

std::string Field(const char* name) { return std::string("request_router_config.") + name; }

// A class of the same name in a module of the user's is the user's.
Kind KindOf(std::string_view path) {
  const auto cut = path.find_last_of(".:");
  const std::string_view module = path.substr(0, cut);
  if (!module.starts_with("ray.serve.") && !module.starts_with("penstock.serve.")) {
    return Kind::kCustom;
  }
  const auto own = std::ranges::find_if(
      kOwn, [&](const auto& known) { return known.first == path.substr(cut + 1); });
  return own == kOwn.end() ? Kind::kCustom : own->second;
}

Status ReadClass(const Json& options, RequestRouterSpec& spec) {
  if (!Has(options, "request_router_class")) return {};
  const auto path = TextField(Field("request_router_class"), options.at("request_router_class"));
  if (!path.ok()) return path.status();
  const auto cut = path->find_last_of(".:");
  if (cut == std::string::npos || cut == 0 || cut + 1 == path->size()) {
    return FieldError(Field("request_router_class"),
                      "Input should be an import path, 'module:Class' or 'module.Class'",
                      options.at("request_router_class"));
  }
  spec.kind = KindOf(*path);
  if (spec.kind == Kind::kCustom) spec.request_router_class = *path;
  return {};
}

Status ReadHashKwargs(const Json& kwargs, RequestRouterSpec& spec) {
  for (const auto& [name, value] : kwargs.items()) {
    const bool nodes = name == "num_virtual_nodes";
    if (!nodes && name != "num_fallback_replicas") {
      return InvalidArgument(Field("request_router_kwargs.") + name +
                             ": Extra inputs are not permitted, allowed are num_virtual_nodes, "
                             "num_fallback_replicas");
    }
    const Range range = nodes ? Range{.least = 1, .most = 10'000} : Range{.least = 0, .most = 1e6};
    const auto number = WholeField(Field("request_router_kwargs.") + name, value, range);
    if (!number.ok()) return number.status();
    (nodes ? spec.num_virtual_nodes : spec.num_fallback_replicas) = static_cast<int>(*number);
  }
  return {};
}

Status ReadKwargs(const Json& options, RequestRouterSpec& spec) {
  if (!Has(options, "request_router_kwargs")) return {};
  const Json& kwargs = options.at("request_router_kwargs");
  if (!kwargs.is_object()) {
    return FieldError(Field("request_router_kwargs"), "Input should be a valid dictionary", kwargs);
  }
  spec.request_router_kwargs = kwargs.dump(-1, ' ', false, Json::error_handler_t::replace);
  return spec.kind == Kind::kConsistentHash ? ReadHashKwargs(kwargs, spec) : Status();
}

}  // namespace

Result<RequestRouterSpec> ParseRequestRouter(const Json& options) {
  if (!options.is_object()) {
    return FieldError("request_router_config", "Input should be a valid dictionary", options);
  }
  RequestRouterSpec spec;
  for (Status bad : {ReadClass(options, spec), ReadKwargs(options, spec)}) {
    if (!bad.ok()) return bad;
  }
  for (const auto& [name, field] : kNumbers) {
    if (!options.contains(name)) continue;
    const auto number =
        NumberField(Field(name), options.at(name), {.least = 0, .above_least = true});
    if (!number.ok()) return number.status();
    spec.*field = *number;
  }
  return spec;
}

}  // namespace penstock::config
