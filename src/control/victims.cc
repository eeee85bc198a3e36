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

// Those that end with `unique`, and it.
std::vector<std::string> GangOf(const Deployment& deployment, const std::string& unique,
                                const std::vector<std::string>& spared) {
  const Replica* one = deployment.Find(unique);
  if (one->gang.empty()) return {unique};
  std::vector<std::string> members;
  for (const Replica& replica : deployment.replicas) {
    const bool stays = replica.state == ReplicaState::kStopping ||
                       std::find(spared.begin(), spared.end(), replica.unique) != spared.end();
    if (replica.gang == one->gang && !stays) members.push_back(replica.unique);
  }
  return members;
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
    if (replica.state == ReplicaState::kPendingMigration) continue;
    if (std::find(spared.begin(), spared.end(), replica.unique) != spared.end()) continue;
    candidates.push_back(Rate(deployment, replica, newest_first, nodes));
  }
  std::sort(candidates.begin(), candidates.end(),
            [](const Candidate& a, const Candidate& b) { return a.order < b.order; });
  std::vector<std::string> victims;
  for (const Candidate& candidate : candidates) {
    if (static_cast<int>(victims.size()) >= count) break;
    const auto gone = std::find(victims.begin(), victims.end(), candidate.unique);
    if (gone != victims.end()) continue;  // with its gang
    const auto gang = GangOf(deployment, candidate.unique, spared);
    if (static_cast<int>(victims.size() + gang.size()) > count) continue;
    victims.insert(victims.end(), gang.begin(), gang.end());
  }
  return victims;
}

}  // namespace penstock::control
