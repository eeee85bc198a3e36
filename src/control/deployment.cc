#include "control/deployment.h"

#include <algorithm>
#include <utility>

#include "control/ranks.h"

namespace penstock::control {
namespace {

// RAY_SERVE_MAX_PER_REPLICA_RETRY_COUNT's default.
constexpr int kRetriesPerReplica = 3;
// Failures further apart than this are no streak.
constexpr Duration kStreakGap = std::chrono::seconds(10);
constexpr Duration kFirstDelay = std::chrono::milliseconds(50);
constexpr Duration kLastDelay = std::chrono::seconds(5);

bool HasOldReplicas(const Deployment& deployment) {
  return std::any_of(deployment.replicas.begin(), deployment.replicas.end(), [&](const Replica& r) {
    return r.state != ReplicaState::kStopping && r.state != ReplicaState::kStarting &&
           MatchVersion(r, deployment.target) == VersionMatch::kOld;
  });
}

void NoteFailure(Deployment& deployment, TimePoint now) {
  const bool close = deployment.streak > 0 && now - deployment.last_failure < kStreakGap;
  deployment.streak = close ? deployment.streak + 1 : 1;
  deployment.last_failure = now;
  deployment.retry_at = now + RetryDelay(deployment.streak);
}

// Counts a failure of the version that is being deployed, and ends the deploy at the limit.
void CountStartFailure(Deployment& deployment, const std::string& error) {
  if (deployment.target_replicas == 0) return;
  ++deployment.start_failures;
  const int left = FailureLimit(deployment) - deployment.start_failures;
  const bool rolling = HasOldReplicas(deployment);
  // A version that has run once is tried for ever, unless it is pushing out one that works.
  if (left > 0 || (deployment.target_started && !rolling)) {
    deployment.status.message = RetryingMessage(std::max(left, 0), error);
    return;
  }
  deployment.gave_up = true;
  if (rolling) {
    deployment.status = NextStatus(deployment.status, StatusEvent::kRollingUpdateFailed,
                                   RolloutFailedMessage(deployment.start_failures, error));
  } else {
    deployment.status = NextStatus(deployment.status, StatusEvent::kStartupFailed,
                                   StartFailedMessage(deployment.start_failures, error));
  }
}

// A replica in service failed: during a rollout that speaks against the new version.
void FailInService(Deployment& deployment, const Replica& replica, const std::string& message,
                   TimePoint now) {
  NoteFailure(deployment, now);
  const bool is_new = MatchVersion(replica, deployment.target) != VersionMatch::kOld;
  if (is_new && HasOldReplicas(deployment)) {
    CountStartFailure(deployment, message);
  } else {
    deployment.status = NextStatus(deployment.status, StatusEvent::kHealthCheckFailed, message);
  }
}

int WantedReplicas(const Target& target, int current) {
  return target.spec.autoscaling ? autoscale::InitialTarget(*target.spec.autoscaling, current)
                                 : target.spec.num_replicas;
}

// True when the specs differ in nothing but how many replicas there are to be.
bool OnlyCountDiffers(DeploymentSpec a, const DeploymentSpec& b) {
  a.num_replicas = b.num_replicas;
  return a == b;
}

}  // namespace

const char* Name(ReplicaState state) {
  switch (state) {
    case ReplicaState::kStarting:
      return "STARTING";
    case ReplicaState::kUpdating:
      return "UPDATING";
    case ReplicaState::kRunning:
      return "RUNNING";
    case ReplicaState::kPendingMigration:
      return "PENDING_MIGRATION";
    case ReplicaState::kStopping:
      break;
  }
  return "STOPPING";
}

bool InService(const Replica& replica) {
  return replica.state == ReplicaState::kRunning || replica.state == ReplicaState::kUpdating ||
         replica.state == ReplicaState::kPendingMigration;
}

bool IsSettled(const Deployment& deployment) {
  return deployment.status.status == DeploymentStatus::kHealthy &&
         std::all_of(deployment.replicas.begin(), deployment.replicas.end(),
                     [](const Replica& r) { return r.state == ReplicaState::kRunning; });
}

Replica* Deployment::Find(const std::string& unique) {
  const auto it = std::find_if(replicas.begin(), replicas.end(),
                               [&](const Replica& r) { return r.unique == unique; });
  return it == replicas.end() ? nullptr : &*it;
}

const Replica* Deployment::Find(const std::string& unique) const {
  const auto it = std::find_if(replicas.begin(), replicas.end(),
                               [&](const Replica& r) { return r.unique == unique; });
  return it == replicas.end() ? nullptr : &*it;
}

VersionMatch MatchVersion(const Replica& replica, const Target& target) {
  if (replica.code_version != target.code_version) return VersionMatch::kOld;
  switch (config::ClassOfChange(replica.spec, target.spec)) {
    case config::ChangeClass::kRestart:
      return VersionMatch::kOld;
    case config::ChangeClass::kReconfigure:
      return VersionMatch::kReconfigure;
    case config::ChangeClass::kInPlace:
      return VersionMatch::kInPlace;
    case config::ChangeClass::kNothing:
      break;
  }
  return VersionMatch::kCurrent;
}

void Retarget(Deployment& deployment, Target target, TimePoint now) {
  const bool fresh = deployment.target.code_version.empty() || deployment.target.deleting;
  const bool same_code = deployment.target.code_version == target.code_version;
  if (!fresh && same_code && deployment.target.spec == target.spec) {
    deployment.target = std::move(target);
    return;
  }
  const int before = deployment.target_replicas;
  const int wanted = WantedReplicas(target, fresh ? 0 : before);
  const bool scaling = !fresh && same_code && OnlyCountDiffers(deployment.target.spec, target.spec);
  if (scaling) {
    deployment.status = NextStatus(
        deployment.status, wanted > before ? StatusEvent::kManualUp : StatusEvent::kManualDown,
        ScalingMessage(before, wanted));
  } else {
    deployment.status = NextStatus(deployment.status, StatusEvent::kConfigUpdate);
    deployment.target_started = false;
    deployment.delay = {};
  }
  deployment.target = std::move(target);
  deployment.target_replicas = wanted;
  deployment.start_failures = 0;
  deployment.streak = 0;
  deployment.gave_up = false;
  deployment.retry_at = now;
  deployment.stalled_told = false;
}

void SetTargetReplicas(Deployment& deployment, int replicas) {
  const int before = std::exchange(deployment.target_replicas, replicas);
  if (before == replicas) return;
  deployment.status = NextStatus(
      deployment.status, replicas > before ? StatusEvent::kManualUp : StatusEvent::kManualDown,
      ScalingMessage(before, replicas));
}

void MarkDeleting(Deployment& deployment) {
  if (deployment.target.deleting) return;
  deployment.target.deleting = true;
  deployment.target_replicas = 0;
  deployment.status = NextStatus(deployment.status, StatusEvent::kDelete);
}

Replica& AddReplica(Deployment& deployment, const std::string& unique, TimePoint now) {
  Replica replica{.unique = unique,
                  .code_version = deployment.target.code_version,
                  .spec = deployment.target.spec,
                  .rank = {.global = LowestFreeRank(deployment)},
                  .since = now};
  deployment.replicas.push_back(std::move(replica));
  return deployment.replicas.back();
}

void OnReady(Deployment& deployment, Replica& replica) {
  if (replica.state != ReplicaState::kStarting) return;
  replica.state = ReplicaState::kRunning;
  if (MatchVersion(replica, deployment.target) != VersionMatch::kOld) {
    deployment.target_started = true;
  }
}

bool OnReconfigured(Deployment& deployment, Replica& replica, const std::string& error) {
  if (error.empty()) {
    if (replica.state == ReplicaState::kUpdating) replica.state = ReplicaState::kRunning;
    return false;
  }
  // The order may be that of a controller before this one.
  if (!InService(replica)) return false;
  deployment.status =
      NextStatus(deployment.status, StatusEvent::kHealthCheckFailed, HealthCheckFailedMessage());
  return true;
}

void OnHealthy(Replica& replica) { replica.health_failures = 0; }

bool OnUnhealthy(Deployment& deployment, Replica& replica, const std::string& why, TimePoint now) {
  if (replica.state == ReplicaState::kStarting || replica.state == ReplicaState::kStopping) {
    return false;
  }
  if (++replica.health_failures < kHealthStrikes) return false;
  FailInService(deployment, replica, HealthCheckFailedMessage() + " Cause: " + why, now);
  return true;
}

void OnStartFailed(Deployment& deployment, Replica& replica, const std::string& error,
                   TimePoint now) {
  if (replica.state != ReplicaState::kStarting) return;
  replica.state = ReplicaState::kStopping;
  // An older version that fails to start is on its way out anyway.
  if (MatchVersion(replica, deployment.target) == VersionMatch::kOld) return;
  NoteFailure(deployment, now);
  CountStartFailure(deployment, error);
}

void OnGone(Deployment& deployment, const std::string& unique, const std::string& cause,
            TimePoint now) {
  Replica* replica = deployment.Find(unique);
  if (replica == nullptr) return;
  if (replica->state == ReplicaState::kStarting) {
    OnStartFailed(deployment, *replica, cause, now);
  } else if (replica->state != ReplicaState::kStopping) {
    FailInService(deployment, *replica, HealthCheckFailedMessage() + " " + cause, now);
  }
  std::erase_if(deployment.replicas, [&](const Replica& r) { return r.unique == unique; });
}

void OnPlaceLost(Deployment& deployment, const Replica& replica, const std::string& cause,
                 TimePoint now) {
  if (!InService(replica)) return;
  FailInService(deployment, replica, HealthCheckFailedMessage() + " " + cause, now);
}

Duration RetryDelay(int streak) {
  if (streak <= 1) return Duration::zero();
  Duration delay = kFirstDelay;
  for (int i = 2; i < streak && delay < kLastDelay; ++i) delay *= 2;
  return std::min(delay, kLastDelay);
}

int FailureLimit(const Deployment& deployment) {
  return std::min(deployment.target.spec.max_constructor_retry_count,
                  kRetriesPerReplica * deployment.target_replicas);
}

}  // namespace penstock::control
