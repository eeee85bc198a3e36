// Which replicas go first when there are more than wanted. Pure.
//
// Source: behaviour specification, 4.4.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "control/deployment.h"
#include "penstock/ids.h"
#include "resources/labels.h"

namespace penstock::control {

// What the choice needs to know of a node.
struct NodeFact {
  bool is_head = false;
  resources::Labels labels;
  int running_replicas = 0;  // of all deployments
  bool draining = false;
  TimePoint drain_deadline = kNever;
};
using NodeFacts = std::map<NodeId, NodeFact>;

// `count` replicas of the deployment, or as many as there are, none of them in `spared` and none
// that is stopping or migrating already. First those that do not run; then by node: other nodes
// before the head, nodes whose labels the deployment does not ask for before those it does, the
// emptiest node first; inside a node the newest first. Ties by node id. A gang goes as a whole, or
// stays when it is more than is left to choose.
std::vector<std::string> ChooseVictims(const Deployment& deployment, int count,
                                       const NodeFacts& nodes,
                                       const std::vector<std::string>& spared);

}  // namespace penstock::control
