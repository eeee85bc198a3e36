#include "control/victims.h"

#include <algorithm>
#include <tuple>

namespace penstock::control {
namespace {

struct Candidate {
  std::tuple<bool, bool, bool, int, NodeId, int> order;  // smallest goes first
  std::string unique;
};

Candidate Rate(const Deployment& deployment, const Replica& replica, int age_rank,
               const NodeFacts& nodes) {
  const bool runs = replica.state != ReplicaState::kStarting;
  const auto node = nodes.find(replica.node);
  if (!runs || node == nodes.end()) return {{runs, false, false, 0, "", age_rank}, replica.unique};
  const auto& wanted = deployment.target.spec.replica_resources.label_selector;
  const auto selector = resources::LabelSelector::Parse(wanted);
  const bool matches =
      !wanted.empty() && selector.ok() && selector->FirstMismatch(node->second.labels) == nullptr;
  return {
      {runs, node->second.is_head, matches, node->second.running_replicas, replica.node, age_rank},
      replica.unique};
}

}  // namespace

std::vector<std::string> ChooseVictims(const Deployment& deployment, int count,
                                       const NodeFacts& nodes,
                                       const std::vector<std::string>& spared) {
  std::vector<Candidate> candidates;
  int newest_first = 0;
  for (const Replica& replica : deployment.replicas) {
    --newest_first;  // later in the list is newer
    if (replica.state == ReplicaState::kStopping) continue;
    if (std::find(spared.begin(), spared.end(), replica.unique) != spared.end()) continue;
    candidates.push_back(Rate(deployment, replica, newest_first, nodes));
  }
  std::sort(candidates.begin(), candidates.end(),
            [](const Candidate& a, const Candidate& b) { return a.order < b.order; });
  std::vector<std::string> victims;
  for (const Candidate& candidate : candidates) {
    if (static_cast<int>(victims.size()) >= count) break;
    victims.push_back(candidate.unique);
  }
  return victims;
}

}  // namespace penstock::control
