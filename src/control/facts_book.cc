#include "control/facts_book.h"

#include <utility>

namespace penstock::control {

FactsBook::Counts FactsBook::CountOf(const Deployment& deployment) {
  Counts counts;
  for (const Replica& replica : deployment.replicas) {
    if (CountsOnItsNode(replica)) ++counts[replica.node];
  }
  return counts;
}

void FactsBook::Add(const Counts& counts, int sign) {
  for (const auto& [node, count] : counts) {
    const auto fact = facts_.find(node);
    if (fact != facts_.end()) fact->second.running_replicas += sign * count;
  }
}

void FactsBook::Recount(const State& state, const DeploymentId& id) {
  if (stale_) return;  // all are counted anew
  const auto before = counted_.extract(id);
  if (!before.empty()) Add(before.mapped(), -1);
  const auto found = state.deployments.find(id);
  if (found == state.deployments.end()) return;
  Add(counted_[id] = CountOf(found->second), 1);
}

const NodeFacts& FactsBook::Facts(const State& state) {
  if (std::exchange(stale_, false)) {
    facts_ = FactsOf(state);
    counted_.clear();
    for (const auto& [id, deployment] : state.deployments) counted_[id] = CountOf(deployment);
  }
  return facts_;
}

}  // namespace penstock::control
