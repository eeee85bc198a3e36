#include "control/ranks.h"

#include <map>
#include <set>
#include <utility>

namespace penstock::control {
namespace {

int LowestFree(const std::set<int>& taken) {
  int free = 0;
  while (taken.contains(free)) ++free;
  return free;
}

// 0 to n - 1 for n holders. Who holds one of these keeps it, the first of those that share it; the
// others, in the order of what they hold, get what is free, from below.
template <class Holder>
void Condense(std::map<Holder, int>& ranks) {
  const auto count = static_cast<int>(ranks.size());
  std::set<int> kept;
  std::set<std::pair<int, Holder>> moving;
  for (const auto& [holder, rank] : ranks) {
    const bool keeps = rank < count && kept.insert(rank).second;
    if (!keeps) moving.emplace(rank, holder);
  }
  for (const auto& [rank, holder] : moving) {
    ranks[holder] = LowestFree(kept);
    kept.insert(ranks[holder]);
  }
}

}  // namespace

int LowestFreeRank(const Deployment& deployment) {
  std::set<int> taken;
  for (const Replica& replica : deployment.replicas) {
    if (replica.state != ReplicaState::kStopping) taken.insert(replica.rank.global);
  }
  return LowestFree(taken);
}

Rank RankOnNode(const Deployment& deployment, const Replica& replica) {
  std::set<int> nodes;
  std::set<int> here;
  Rank rank{.global = replica.rank.global, .node = -1};
  for (const Replica& other : deployment.replicas) {
    const bool counts = other.placed && other.state != ReplicaState::kStopping;
    if (!counts || other.unique == replica.unique) continue;
    nodes.insert(other.rank.node);
    if (other.node != replica.node) continue;
    rank.node = other.rank.node;
    here.insert(other.rank.local);
  }
  if (rank.node < 0) rank.node = LowestFree(nodes);
  rank.local = LowestFree(here);
  return rank;
}

std::vector<NewRank> CloseGaps(const Deployment& deployment) {
  if (!IsSettled(deployment)) return {};
  std::map<std::string, int> global;
  std::map<NodeId, int> nodes;
  std::map<NodeId, std::map<std::string, int>> local;
  for (const Replica& replica : deployment.replicas) {
    global[replica.unique] = replica.rank.global;
    nodes.emplace(replica.node, replica.rank.node);
    local[replica.node][replica.unique] = replica.rank.local;
  }
  Condense(global);
  Condense(nodes);
  for (auto& [node, ranks] : local) Condense(ranks);
  std::vector<NewRank> changes;
  for (const Replica& replica : deployment.replicas) {
    const Rank rank{.global = global.at(replica.unique),
                    .node = nodes.at(replica.node),
                    .local = local.at(replica.node).at(replica.unique)};
    if (rank != replica.rank) changes.push_back({replica.unique, rank});
  }
  return changes;
}

}  // namespace penstock::control
