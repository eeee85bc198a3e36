#include "control/precedence.h"

#include <algorithm>
#include <tuple>

namespace penstock::control {

bool GoesBefore(const Standing& a, const Standing& b) {
  return std::tie(a.guaranteed, a.priority) > std::tie(b.guaranteed, b.priority);
}

int GuaranteedReplicas(const Deployment& deployment) {
  if (deployment.target.deleting) return 0;
  const auto& autoscaling = deployment.target.spec.autoscaling;
  return autoscaling ? autoscaling->min_replicas : deployment.target_replicas;
}

int HeldReplicas(const Deployment& deployment) {
  return static_cast<int>(
      std::count_if(deployment.replicas.begin(), deployment.replicas.end(), [](const Replica& r) {
        return r.placed && r.state != ReplicaState::kStopping &&
               r.state != ReplicaState::kPendingMigration;
      }));
}

bool MayDisplace(const Standing& standing, int priority) {
  return standing.guaranteed || priority < standing.priority;
}

}  // namespace penstock::control
