// The processes that custom request routers run in: one for each deployment that has one, on the
// head's node. What there is to be follows from the deployments; the engine is told when that
// changes.
//
// Thread: the controller's loop.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "control/deployment.h"
#include "engine/engine.h"
#include "penstock/ids.h"

namespace penstock::control {

class RouterHosts {
 public:
  // `engine` outlives it. Sockets of routers are made in `folder`.
  RouterHosts(engine::Engine& engine, std::string folder)
      : engine_(engine), folder_(std::move(folder)) {}

  // Where the custom router of a deployment listens: the same as long as its class, arguments,
  // environment and code are.
  std::string SocketOf(const DeploymentId& id, const Target& target) const;

  // These are the deployments now.
  void Settle(const std::map<DeploymentId, Deployment>& deployments);

  void OnHeadUp(const NodeId& head);
  void OnNodeDown(const NodeId& node);

 private:
  engine::Engine& engine_;
  std::string folder_;
  std::optional<NodeId> head_;
  std::vector<engine::RouterOrder> told_;
};

}  // namespace penstock::control
