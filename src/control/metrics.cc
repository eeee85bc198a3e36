#include "control/metrics.h"

#include <string>

#include "control/controller.h"

namespace penstock::control {
namespace {

using base::MetricFamily;
using base::MetricKind;

MetricFamily Gauge(const char* name, const char* description, std::vector<std::string> tag_keys) {
  return {.name = name,
          .kind = MetricKind::kGauge,
          .description = description,
          .tag_keys = std::move(tag_keys)};
}

// Ray Serve's numbers; zero is "unknown" there.
double Number(DeploymentStatus status) {
  switch (status) {
    case DeploymentStatus::kDeployFailed:
      return 1;
    case DeploymentStatus::kUnhealthy:
      return 2;
    case DeploymentStatus::kUpdating:
      return 3;
    case DeploymentStatus::kUpscaling:
      return 4;
    case DeploymentStatus::kDownscaling:
      return 5;
    case DeploymentStatus::kHealthy:
      break;
  }
  return 6;
}

double Number(AppStatus status) {
  switch (status) {
    case AppStatus::kDeployFailed:
      return 1;
    case AppStatus::kUnhealthy:
      return 2;
    case AppStatus::kDeleting:
      return 4;
    case AppStatus::kDeploying:
      return 5;
    case AppStatus::kRunning:
      break;
  }
  return 6;
}

}  // namespace

std::vector<MetricFamily> ControllerMetrics(const Controller& controller) {
  MetricFamily healthy =
      Gauge("serve_deployment_replica_healthy", "1 when a replica passed its last health check.",
            {"deployment", "replica", "application"});
  MetricFamily deployments =
      Gauge("serve_deployment_status",
            "1 DEPLOY_FAILED, 2 UNHEALTHY, 3 UPDATING, 4 UPSCALING, 5 DOWNSCALING, 6 HEALTHY.",
            {"deployment", "application"});
  MetricFamily targets =
      Gauge("serve_autoscaling_target_replicas",
            "Replicas that an autoscaled deployment is to have.", {"deployment", "application"});
  MetricFamily apps =
      Gauge("serve_application_status",
            "1 DEPLOY_FAILED, 2 UNHEALTHY, 4 DELETING, 5 DEPLOYING, 6 RUNNING.", {"application"});
  MetricFamily proxies = Gauge("serve_proxy_status", "2 HEALTHY, 3 UNHEALTHY.", {"node_id"});
  for (const auto& [id, deployment] : controller.state().deployments) {
    deployments.samples.push_back({{id.name, id.app}, Number(deployment.status.status)});
    if (deployment.target.spec.autoscaling) {
      targets.samples.push_back(
          {{id.name, id.app}, static_cast<double>(deployment.target_replicas)});
    }
    for (const Replica& replica : deployment.replicas) {
      if (!InService(replica)) continue;
      healthy.samples.push_back(
          {{id.name, replica.unique, id.app}, replica.health_failures == 0 ? 1.0 : 0.0});
    }
  }
  for (const auto& [name, app] : controller.state().apps) {
    apps.samples.push_back({{name}, Number(app.status.status)});
  }
  for (const auto& [node, proxy] : controller.proxies()) {
    proxies.samples.push_back({{node}, proxy.healthy ? 2.0 : 3.0});
  }
  return {healthy, deployments, targets, apps, proxies};
}

}  // namespace penstock::control
