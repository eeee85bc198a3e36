// Options as a driver or a config file writes them: refused in words, or a spec in its ranges.
#include "config/deployment_options.h"

#include <cmath>

#include "support/fuzz.h"

namespace penstock::config {
namespace {

using nlohmann::json;

bool Positive(double value) { return std::isfinite(value) && value > 0; }
bool NotNegative(double value) { return std::isfinite(value) && value >= 0; }

void CheckRefusal(const Status& status) {
  const Code code = status.code();
  PENSTOCK_CHECK(code == Code::kInvalidArgument || code == Code::kWrongType ||
                 code == Code::kUnimplemented);
  PENSTOCK_CHECK(!status.message().empty());
}

void CheckAutoscaling(const AutoscalingSpec& spec) {
  PENSTOCK_CHECK(spec.min_replicas >= 0 && spec.min_replicas <= spec.max_replicas);
  PENSTOCK_CHECK(spec.max_replicas >= 1);
  PENSTOCK_CHECK(!spec.initial_replicas || (*spec.initial_replicas >= spec.min_replicas &&
                                            *spec.initial_replicas <= spec.max_replicas));
  PENSTOCK_CHECK(Positive(spec.target_ongoing_requests));
  PENSTOCK_CHECK(Positive(spec.metrics_interval_s) && Positive(spec.look_back_period_s));
  PENSTOCK_CHECK(NotNegative(spec.upscale_delay_s) && NotNegative(spec.downscale_delay_s));
  PENSTOCK_CHECK(NotNegative(spec.downscale_to_zero_delay_s.value_or(0)));
  PENSTOCK_CHECK(Positive(spec.UpscaleGain()) && Positive(spec.DownscaleGain()));
}

void CheckResources(const ReplicaResources& resources) {
  for (const auto& amount :
       {resources.num_cpus, resources.num_gpus, resources.memory, resources.object_store_memory}) {
    PENSTOCK_CHECK(NotNegative(amount.value_or(0)));
  }
  for (const auto& [name, amount] : resources.resources) PENSTOCK_CHECK(NotNegative(amount));
}

void CheckRouter(const RequestRouterSpec& spec) {
  PENSTOCK_CHECK(json::parse(spec.request_router_kwargs).is_object());
  PENSTOCK_CHECK(spec.request_router_class.empty() ==
                 (spec.kind != RequestRouterSpec::Kind::kCustom));
  PENSTOCK_CHECK(spec.num_virtual_nodes >= 1 && spec.num_virtual_nodes <= 10'000);
  PENSTOCK_CHECK(spec.num_fallback_replicas >= 0);
  for (const double number :
       {spec.request_routing_stats_period_s, spec.request_routing_stats_timeout_s,
        spec.initial_backoff_s, spec.backoff_multiplier, spec.max_backoff_s}) {
    PENSTOCK_CHECK(Positive(number));
  }
}

void CheckSpec(const DeploymentSpec& spec) {
  PENSTOCK_CHECK(spec.num_replicas >= 1 && spec.num_replicas <= 1'000'000);
  PENSTOCK_CHECK(spec.max_ongoing_requests > 0);
  PENSTOCK_CHECK(spec.max_queued_requests == -1 || spec.max_queued_requests >= 1);
  PENSTOCK_CHECK(spec.backpressure.status_code == 503 || spec.backpressure.status_code == 429);
  PENSTOCK_CHECK(NotNegative(spec.backpressure.retry_after_s.value_or(0)));
  PENSTOCK_CHECK(json::accept(spec.user_config));
  PENSTOCK_CHECK(NotNegative(spec.graceful_shutdown_timeout_s));
  PENSTOCK_CHECK(NotNegative(spec.graceful_shutdown_wait_loop_s));
  PENSTOCK_CHECK(Positive(spec.health_check_period_s) && Positive(spec.health_check_timeout_s));
  PENSTOCK_CHECK(spec.max_constructor_retry_count > 0);
  PENSTOCK_CHECK(spec.rolling_update_percentage > 0 && spec.rolling_update_percentage <= 1);
  PENSTOCK_CHECK(spec.max_surge_percent >= 0 && spec.max_surge_percent <= 100);
  PENSTOCK_CHECK(spec.priority >= -1000 && spec.priority <= 1000);
  const int per_node = spec.max_replicas_per_node.value_or(1);
  PENSTOCK_CHECK(per_node >= 1 && per_node <= 100);
  if (spec.autoscaling) CheckAutoscaling(*spec.autoscaling);
  CheckResources(spec.replica_resources);
  CheckRouter(spec.request_router);
}

// A whole number that was written as one is the one that is used.
void CheckKept(const json& call, const char* name, int used) {
  if (!call.contains(name) || !call.at(name).is_number_integer()) return;
  PENSTOCK_CHECK(call.at(name) == used);
}

}  // namespace
}  // namespace penstock::config

PENSTOCK_FUZZ(input) {
  using namespace penstock::config;
  const json call = input.Json();
  if (call.is_discarded()) return;
  const auto merged = MergeOptions(json::object(), call);
  if (!merged.ok()) return CheckRefusal(merged.status());
  // Merging settles: what is set once stays as it is, whoever says it again.
  PENSTOCK_CHECK(*MergeOptions(*merged, json::object()) == *merged);
  const auto again = MergeOptions(json::object(), *merged);
  PENSTOCK_CHECK(again.ok() && *again == *merged);
  NotActedUpon(*merged);
  const auto spec = SpecFromOptions("d", *merged);
  if (!spec.ok()) return CheckRefusal(spec.status());
  CheckSpec(*spec);
  CheckKept(call, "max_ongoing_requests", spec->max_ongoing_requests);
  CheckKept(call, "max_queued_requests", spec->max_queued_requests);
  PENSTOCK_CHECK(*SpecFromOptions("d", json::parse(merged->dump())) == *spec);
}
