#include "control/precedence.h"

#include <algorithm>
#include <tuple>

namespace penstock::control {

bool GoesBefore(const Standing& a, const Standing& b) {
  return std::tie(a.guaranteed, a.priority) > std::tie(b.guaranteed, b.priority);
}

int GuaranteedReplicas(const Target& target) {
  if (target.deleting) return 0;
  const DeploymentSpec& spec = target.spec;
  return spec.autoscaling ? spec.autoscaling->min_replicas : spec.num_replicas;
}

int HeldReplicas(const Deployment& deployment) {
  return static_cast<int>(
      std::count_if(deployment.replicas.begin(), deployment.replicas.end(), [](const Replica& r) {
        return r.placed && r.state != ReplicaState::kStopping &&
               r.state != ReplicaState::kPendingMigration;
      }));
}

bool MayDisplace(const Standing& standing, int priority) {
  return standing.guaranteed ? priority <= standing.priority : priority < standing.priority;
}

}  // namespace penstock::control
