// The processes that decide with code of the user's: custom request routers and autoscaling
// policies, one for each deployment that has one, on the head's node. What there is to be follows
// from the deployments; the engine is told when that changes.
//
// Thread: the controller's loop.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "control/deployment.h"
#include "engine/engine.h"
#include "penstock/ids.h"

namespace penstock::control {

class CodeHostBook {
 public:
  // `engine` outlives it. Sockets are made in `folder`.
  CodeHostBook(engine::Engine& engine, std::string folder)
      : engine_(engine), folder_(std::move(folder)) {}

  // The processes of one deployment. Each listens at a socket that is the same as long as its
  // class or function, arguments, environment and code are.
  std::vector<engine::CodeHostOrder> HostsOf(const DeploymentId& id, const Target& target) const;

  // Where its host of this kind listens; "" when it has none.
  std::string SocketOf(const DeploymentId& id, const Target& target,
                       engine::CodeHostOrder::Kind kind) const;

  // These are the deployments now, and these of them have changed or are gone.
  void Settle(const std::map<DeploymentId, Deployment>& deployments,
              const std::set<DeploymentId>& changed);

  void OnHeadUp(const NodeId& head);
  void OnNodeDown(const NodeId& node);

 private:
  void Tell();  // the head, all of them

  engine::Engine& engine_;
  std::string folder_;
  std::optional<NodeId> head_;
  std::map<DeploymentId, std::vector<engine::CodeHostOrder>> hosts_;  // of those that have any
};

}  // namespace penstock::control
