// What Reconcile needs to know of every node, kept up to date deployment by deployment: to count
// all replicas anew at each change would cost what exists, and not what changed.
//
// Thread: the controller's loop.
#pragma once

#include <map>

#include "control/state.h"
#include "control/victims.h"
#include "penstock/ids.h"

namespace penstock::control {

class FactsBook {
 public:
  // A node came, left, or drains or not.
  void NodesChanged() { stale_ = true; }

  // Replicas of the deployment came, left or changed their states; or it is gone.
  void Recount(const State& state, const DeploymentId& id);

  // As FactsOf(state). Pre: both of the above were called for all that changed.
  const NodeFacts& Facts(const State& state);

 private:
  using Counts = std::map<NodeId, int>;
  static Counts CountOf(const Deployment& deployment);
  void Add(const Counts& counts, int sign);

  bool stale_ = true;
  NodeFacts facts_;
  std::map<DeploymentId, Counts> counted_;
};

}  // namespace penstock::control
