#include "control/status.h"

#include <array>
#include <utility>

namespace penstock::control {
namespace {

using DS = DeploymentStatus;
using Event = StatusEvent;

constexpr std::array<std::pair<DS, const char*>, 6> kStatusNames{
    {{DS::kUpdating, "UPDATING"},
     {DS::kUpscaling, "UPSCALING"},
     {DS::kDownscaling, "DOWNSCALING"},
     {DS::kHealthy, "HEALTHY"},
     {DS::kUnhealthy, "UNHEALTHY"},
     {DS::kDeployFailed, "DEPLOY_FAILED"}}};

constexpr std::array<std::pair<Trigger, const char*>, 10> kTriggerNames{
    {{Trigger::kUnspecified, "UNSPECIFIED"},
     {Trigger::kConfigUpdateStarted, "CONFIG_UPDATE_STARTED"},
     {Trigger::kConfigUpdateCompleted, "CONFIG_UPDATE_COMPLETED"},
     {Trigger::kUpscaleCompleted, "UPSCALE_COMPLETED"},
     {Trigger::kDownscaleCompleted, "DOWNSCALE_COMPLETED"},
     {Trigger::kAutoscaling, "AUTOSCALING"},
     {Trigger::kReplicaStartupFailed, "REPLICA_STARTUP_FAILED"},
     {Trigger::kHealthCheckFailed, "HEALTH_CHECK_FAILED"},
     {Trigger::kInternalError, "INTERNAL_ERROR"},
     {Trigger::kDeleting, "DELETING"}}};

template <class Value, std::size_t n>
const char* NameIn(const std::array<std::pair<Value, const char*>, n>& names, Value value) {
  for (const auto& [known, name] : names) {
    if (known == value) return name;
  }
  return "";
}

template <class Value, std::size_t n>
Value ValueIn(const std::array<std::pair<Value, const char*>, n>& names, const std::string& name) {
  for (const auto& [value, known] : names) {
    if (known == name) return value;
  }
  return names.front().first;
}

bool IsScaling(DS status) { return status == DS::kUpscaling || status == DS::kDownscaling; }

StatusInfo OnHealthy(const StatusInfo& current, const std::string& message) {
  switch (current.status) {
    case DS::kUpdating:
      return {DS::kHealthy, Trigger::kConfigUpdateCompleted, message};
    case DS::kUpscaling:
      return {DS::kHealthy, Trigger::kUpscaleCompleted, message};
    case DS::kDownscaling:
      return {DS::kHealthy, Trigger::kDownscaleCompleted, message};
    case DS::kUnhealthy:
    case DS::kDeployFailed:
      return {DS::kHealthy, Trigger::kUnspecified, message};
    case DS::kHealthy:
      break;
  }
  return current;
}

StatusInfo OnAutoscale(const StatusInfo& current, bool up, const std::string& message) {
  const bool relabels = current.status == DS::kUpdating || current.status == DS::kHealthy ||
                        (IsScaling(current.status) && current.trigger == Trigger::kAutoscaling);
  if (!relabels) return current;
  return {up ? DS::kUpscaling : DS::kDownscaling, Trigger::kAutoscaling, message};
}

StatusInfo OnManual(const StatusInfo& current, bool up, const std::string& message) {
  if (current.status != DS::kHealthy && !IsScaling(current.status)) return current;
  return {up ? DS::kUpscaling : DS::kDownscaling, Trigger::kConfigUpdateStarted, message};
}

// A failure during a deploy fails the deploy; later it makes the deployment unhealthy.
StatusInfo OnFailed(const StatusInfo& current, Trigger trigger, const std::string& message) {
  const bool deploying = current.status == DS::kUpdating || current.status == DS::kDeployFailed;
  return {deploying ? DS::kDeployFailed : DS::kUnhealthy, trigger, message};
}

}  // namespace

StatusInfo NextStatus(const StatusInfo& current, StatusEvent event, const std::string& message) {
  switch (event) {
    case Event::kHealthy:
      return OnHealthy(current, message);
    case Event::kConfigUpdate:
      return {DS::kUpdating, Trigger::kConfigUpdateStarted, message};
    case Event::kAutoscaleUp:
    case Event::kAutoscaleDown:
      return OnAutoscale(current, event == Event::kAutoscaleUp, message);
    case Event::kManualUp:
    case Event::kManualDown:
      return OnManual(current, event == Event::kManualUp, message);
    case Event::kHealthCheckFailed:
      return OnFailed(current, Trigger::kHealthCheckFailed, message);
    case Event::kStartupFailed:
      if (current.status == DS::kHealthy) return current;
      return OnFailed(current, Trigger::kReplicaStartupFailed, message);
    case Event::kRollingUpdateFailed:
      return {DS::kDeployFailed, Trigger::kReplicaStartupFailed, message};
    case Event::kInternalError:
      return {DS::kUnhealthy, Trigger::kInternalError, message};
    case Event::kDelete:
      return {DS::kUpdating, Trigger::kDeleting, message};
  }
  return current;
}

const char* Name(DeploymentStatus status) { return NameIn(kStatusNames, status); }
const char* Name(Trigger trigger) { return NameIn(kTriggerNames, trigger); }

DeploymentStatus DeploymentStatusFromName(const std::string& name) {
  return ValueIn(kStatusNames, name);
}
Trigger TriggerFromName(const std::string& name) { return ValueIn(kTriggerNames, name); }

const char* Name(AppStatus status) {
  switch (status) {
    case AppStatus::kDeploying:
      return "DEPLOYING";
    case AppStatus::kRunning:
      return "RUNNING";
    case AppStatus::kDeployFailed:
      return "DEPLOY_FAILED";
    case AppStatus::kUnhealthy:
      return "UNHEALTHY";
    case AppStatus::kDeleting:
      break;
  }
  return "DELETING";
}

AppStatusInfo DeriveAppStatus(const std::vector<NamedStatus>& deployments, bool deleting) {
  if (deleting) return {AppStatus::kDeleting, ""};
  std::string failed;
  std::string unhealthy;
  bool deploying = false;
  const auto append = [](std::string& list, const std::string& name) {
    list += (list.empty() ? "'" : ", '") + name + "'";
  };
  for (const auto& [name, info] : deployments) {
    if (info.status == DS::kDeployFailed) append(failed, name);
    if (info.status == DS::kUnhealthy) append(unhealthy, name);
    const bool config = info.trigger == Trigger::kConfigUpdateStarted;
    deploying = deploying || info.status == DS::kUpdating || (IsScaling(info.status) && config);
  }
  if (!failed.empty()) {
    return {AppStatus::kDeployFailed, "Failed to update the deployments [" + failed + "]."};
  }
  if (!unhealthy.empty()) {
    return {AppStatus::kUnhealthy, "The deployments [" + unhealthy + "] are UNHEALTHY."};
  }
  return {deploying ? AppStatus::kDeploying : AppStatus::kRunning, ""};
}

std::string HealthCheckFailedMessage() {
  return "A replica's health check failed. This deployment will be UNHEALTHY until the replica "
         "recovers or a new deploy happens.";
}

std::string ScalingMessage(int from, int to) {
  return std::string(to > from ? "Upscaling" : "Downscaling") + " from " + std::to_string(from) +
         " to " + std::to_string(to) + " replicas.";
}

std::string RetryingMessage(int retries_left, const std::string& error) {
  return "A replica failed to start with exception. Retrying " + std::to_string(retries_left) +
         " more time(s). Error:\n" + error;
}

std::string StartFailedMessage(int failures, const std::string& error) {
  return "The deployment failed to start " + std::to_string(failures) +
         " times in a row. This may be due to a problem with its constructor or initial health "
         "check failing. See controller logs for details. Error:\n" +
         error;
}

std::string RolloutFailedMessage(int failures, const std::string& error) {
  return "The deployment failed to start " + std::to_string(failures) +
         " times in a row during a rolling update. This may be due to a problem with its "
         "constructor or initial health check failing. The update is stopped and replicas of the "
         "previous version keep running until a new deploy. Error:\n" +
         error;
}

}  // namespace penstock::control
