// The nodes that replicas can be placed on, as one value.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "penstock/ids.h"
#include "resources/node.h"

namespace penstock::placement {

// A node and what else placement must know of it.
struct ClusterNode {
  resources::NodeResources resources;
  bool alive = true;
  bool draining = false;
};

class Cluster {
 public:
  // Adds a node behind the others. Pre: its id is new (checked).
  void Join(resources::NodeSpec spec);

  // Forgets a node. Pre: it is there, and what was taken on it was given back or is lost with it.
  void Leave(const NodeId& id);

  // nullptr when there is none. Invalid after Join or Leave.
  ClusterNode* Find(const NodeId& id);
  const ClusterNode* Find(const NodeId& id) const;

  // In the order in which they joined, which is the order of every tie.
  const std::vector<ClusterNode>& nodes() const { return nodes_; }

  // Sums over the nodes that are alive.
  resources::ResourceSet Total() const;
  resources::ResourceSet Free() const;

 private:
  std::vector<ClusterNode> nodes_;
};

}  // namespace penstock::placement
