// Statuses of applications, deployments and replicas: names, transitions, messages. Pure.
//
// Source: behaviour specification, 7.2 (tables) and 7.3, 7.4 (messages).
#pragma once

#include <string>
#include <vector>

namespace penstock::control {

enum class DeploymentStatus {
  kUpdating,
  kUpscaling,
  kDownscaling,
  kHealthy,
  kUnhealthy,
  kDeployFailed
};

enum class Trigger {
  kUnspecified,
  kConfigUpdateStarted,
  kConfigUpdateCompleted,
  kUpscaleCompleted,
  kDownscaleCompleted,
  kAutoscaling,
  kReplicaStartupFailed,
  kHealthCheckFailed,
  kInternalError,
  kDeleting,
};

// What happens to a deployment as a whole.
enum class StatusEvent {
  kHealthy,       // all that is wanted runs, and nothing else
  kConfigUpdate,  // a new deploy
  kAutoscaleUp,
  kAutoscaleDown,
  kManualUp,  // only num_replicas changed
  kManualDown,
  kHealthCheckFailed,
  kStartupFailed,
  kRollingUpdateFailed,
  kInternalError,
  kDelete,
};

struct StatusInfo {
  DeploymentStatus status = DeploymentStatus::kUpdating;
  Trigger trigger = Trigger::kConfigUpdateStarted;
  std::string message;
  friend bool operator==(const StatusInfo&, const StatusInfo&) = default;
};

// The transition table. A transition replaces the message; an event that changes nothing in the
// current status keeps all of it.
StatusInfo NextStatus(const StatusInfo& current, StatusEvent event,
                      const std::string& message = "");

// Ray Serve's spelling: "UPDATING", "CONFIG_UPDATE_STARTED".
const char* Name(DeploymentStatus status);
const char* Name(Trigger trigger);

// Inverse of Name; the first value for a name that is none.
DeploymentStatus DeploymentStatusFromName(const std::string& name);
Trigger TriggerFromName(const std::string& name);

enum class AppStatus { kDeploying, kRunning, kDeployFailed, kUnhealthy, kDeleting };

struct AppStatusInfo {
  AppStatus status = AppStatus::kDeploying;
  std::string message;
  friend bool operator==(const AppStatusInfo&, const AppStatusInfo&) = default;
};

// A deployment's name and status, as the application sees it.
struct NamedStatus {
  std::string name;
  StatusInfo info;
};

// What the deployments of an application, in order of their names, make of it.
AppStatusInfo DeriveAppStatus(const std::vector<NamedStatus>& deployments, bool deleting);

// "DEPLOYING".
const char* Name(AppStatus status);

// Messages with a fixed form.
std::string HealthCheckFailedMessage();
std::string ScalingMessage(int from, int to);
std::string RetryingMessage(int retries_left, const std::string& error);
std::string StartFailedMessage(int failures, const std::string& error);
std::string RolloutFailedMessage(int failures, const std::string& error);

}  // namespace penstock::control
