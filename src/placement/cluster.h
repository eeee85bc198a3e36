// The nodes that replicas can be placed on, as one value.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "penstock/ids.h"
#include "penstock/units.h"
#include "resources/node.h"

namespace penstock::placement {

// A node and what else placement must know of it.
struct ClusterNode {
  resources::NodeResources resources;
  bool alive = true;
  bool draining = false;              // takes nothing new
  TimePoint drain_deadline = kNever;  // draining: when it goes, whatever runs there
};

class Cluster {
 public:
  // Adds a node behind the others. Pre: no node that is alive has its id (checked).
  void Join(resources::NodeSpec spec);

  // The node died: what was taken on it is lost with it. It stays known as dead, so that people
  // can see what became of it; the longest dead beyond kMostDead are forgotten. Pre: it is alive.
  void Leave(const NodeId& id);

  static constexpr std::size_t kMostDead = 100;

  // nullptr when there is none. Dead ones too. Invalid after Join or Leave.
  ClusterNode* Find(const NodeId& id);
  const ClusterNode* Find(const NodeId& id) const;

  // In the order in which they joined, which is the order of every tie. Dead ones too.
  const std::vector<ClusterNode>& nodes() const { return nodes_; }

  // Sums over the nodes that are alive.
  resources::ResourceSet Total() const;
  resources::ResourceSet Free() const;

 private:
  void Forget(const NodeId& id);

  std::vector<ClusterNode> nodes_;
  std::vector<NodeId> dead_;  // of them, the longest dead first
};

}  // namespace penstock::placement
