#include "route/router.h"

#include <cstdlib>
#include <set>
#include <utility>

#include "base/environment.h"

namespace penstock::route {

Duration Router::ModelWaitFromEnvironment() {
  const std::string text = base::GetEnv("RAY_SERVE_MULTIPLEXED_MODEL_ID_MATCHING_TIMEOUT_S", "1");
  char* end = nullptr;
  const double seconds = std::strtod(text.c_str(), &end);
  return FromSeconds(end == text.c_str() || seconds < 0 ? 1 : seconds);
}

void Router::SetNode(const NodeId& node) {
  node_ = node;
  for (const auto& [id, queue] : queues_) queue->SetNode(node);
}

DeploymentQueue& Router::Queue(const DeploymentId& id) {
  auto& queue = queues_[id];
  if (!queue) {
    queue = std::make_unique<DeploymentQueue>(loop_, random_, id);
    const double share = static_cast<double>(random_.Next() >> 11u) * 0x1p-53;  // in [0, 1)
    queue->SetPatience(FromSeconds(ToSeconds(model_wait_) * (1 + share)));
    queue->SetNode(node_);
    if (on_queue_) on_queue_(*queue);
  }
  return *queue;
}

void Router::Apply(const RouteUpdate& update) {
  epoch_ = update.epoch;
  informed_ = true;
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
