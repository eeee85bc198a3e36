#include "config/diff.h"

#include <tuple>

namespace penstock::config {
namespace {

// Ray Serve counts the metrics interval and the look-back period as the replica's.
auto MetricTimes(const DeploymentSpec& spec) {
  return spec.autoscaling ? std::tuple(spec.autoscaling->metrics_interval_s,
                                       spec.autoscaling->look_back_period_s)
                          : std::tuple(0.0, 0.0);
}

auto RestartPart(const DeploymentSpec& spec) {
  return std::tie(spec.replica_resources, spec.max_replicas_per_node, spec.placement_group,
                  spec.gang);
}

auto ReconfigurePart(const DeploymentSpec& spec) {
  return std::tuple(spec.max_ongoing_requests, spec.backpressure, spec.logging, spec.user_config,
                    spec.graceful_shutdown_wait_loop_s, MetricTimes(spec), spec.request_router);
}

}  // namespace

ChangeClass ClassOfChange(const DeploymentSpec& before, const DeploymentSpec& after) {
  if (RestartPart(before) != RestartPart(after)) return ChangeClass::kRestart;
  if (ReconfigurePart(before) != ReconfigurePart(after)) return ChangeClass::kReconfigure;
  return before == after ? ChangeClass::kNothing : ChangeClass::kInPlace;
}

}  // namespace penstock::config
