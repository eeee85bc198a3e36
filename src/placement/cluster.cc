#include "placement/cluster.h"

#include <algorithm>
#include <utility>

#include "penstock/check.h"

namespace penstock::placement {

void Cluster::Join(resources::NodeSpec spec) {
  if (const ClusterNode* former = Find(spec.id)) {
    PENSTOCK_CHECK(!former->alive);
    Forget(spec.id);
  }
  nodes_.push_back({.resources = resources::NodeResources(std::move(spec))});
}

void Cluster::Leave(const NodeId& id) {
  ClusterNode* node = Find(id);
  PENSTOCK_CHECK(node != nullptr && node->alive);
  node->alive = false;
  dead_.push_back(id);
  if (dead_.size() > kMostDead) Forget(NodeId(dead_.front()));
}

void Cluster::Forget(const NodeId& id) {
  std::erase_if(nodes_, [&](const ClusterNode& node) { return node.resources.spec().id == id; });
  std::erase(dead_, id);
}

const ClusterNode* Cluster::Find(const NodeId& id) const {
  const auto it = std::find_if(nodes_.begin(), nodes_.end(), [&](const ClusterNode& node) {
    return node.resources.spec().id == id;
  });
  return it == nodes_.end() ? nullptr : &*it;
}

ClusterNode* Cluster::Find(const NodeId& id) {
  const auto it = std::find_if(nodes_.begin(), nodes_.end(), [&](const ClusterNode& node) {
    return node.resources.spec().id == id;
  });
  return it == nodes_.end() ? nullptr : &*it;
}

resources::ResourceSet Cluster::Total() const {
  resources::ResourceSet sum;
  for (const ClusterNode& node : nodes_) {
    if (node.alive) sum.Add(node.resources.spec().total);
  }
  return sum;
}

resources::ResourceSet Cluster::Free() const {
  resources::ResourceSet sum;
  for (const ClusterNode& node : nodes_) {
    if (node.alive) sum.Add(node.resources.FreeAmounts());
  }
  return sum;
}

}  // namespace penstock::placement
