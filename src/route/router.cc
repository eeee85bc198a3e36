#include "route/router.h"

#include <set>
#include <utility>

namespace penstock::route {

DeploymentQueue& Router::Queue(const DeploymentId& id) {
  auto& queue = queues_[id];
  if (!queue) {
    queue = std::make_unique<DeploymentQueue>(loop_, random_, id);
    if (on_queue_) on_queue_(*queue);
  }
  return *queue;
}

void Router::Apply(const RouteUpdate& update) {
  epoch_ = update.epoch;
  std::set<DeploymentId> gone(update.removed.begin(), update.removed.end());
  if (update.full) {
    for (const auto& [id, queue] : queues_) {
      if (queue->known()) gone.insert(id);
    }
    for (const DeploymentRoute& deployment : update.deployments) gone.erase(deployment.id);
  }
  for (const DeploymentId& id : gone) Queue(id).Apply({.id = id, .available = false});
  for (const DeploymentRoute& deployment : update.deployments) {
    Queue(deployment.id).Apply(deployment);
  }
  if (update.http) {
    http_ = *update.http;
    populated_ = populated_ || !http_.empty();
  }
}

void Router::Close() { queues_.clear(); }

}  // namespace penstock::route
