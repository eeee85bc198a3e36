#include "control/ranks.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <set>

namespace penstock::control {
namespace {

Replica Running(const std::string& unique, const NodeId& node, const Rank& rank) {
  return {.unique = unique,
          .state = ReplicaState::kRunning,
          .rank = rank,
          .placed = true,
          .node = node};
}

Deployment Settled(std::vector<Replica> replicas) {
  Deployment deployment;
  deployment.status.status = DeploymentStatus::kHealthy;
  deployment.replicas = std::move(replicas);
  return deployment;
}

TEST(Ranks, WhoIsNewTakesTheLowestThatIsFree) {
  Deployment deployment = Settled({Running("a", "n", {0, 0, 0}), Running("b", "n", {2, 0, 1})});
  EXPECT_EQ(LowestFreeRank(deployment), 1);
  deployment.replicas[0].state = ReplicaState::kStopping;
  EXPECT_EQ(LowestFreeRank(deployment), 0) << "who stops has given it back";
}

TEST(Ranks, OnANodeThatHoldsOthersItsRankIsTheirs) {
  Deployment deployment =
      Settled({Running("a", "n", {0, 0, 0}), Running("b", "m", {1, 1, 0}), Running("c", "m", {2})});
  EXPECT_EQ(RankOnNode(deployment, deployment.replicas[2]), (Rank{2, 1, 1}));
}

TEST(Ranks, ANodeThatIsNewTakesTheLowestThatIsFree) {
  Deployment deployment =
      Settled({Running("a", "n", {0, 1, 0}), Running("b", "n", {1, 1, 2}), Running("c", "m", {2})});
  EXPECT_EQ(RankOnNode(deployment, deployment.replicas[2]), (Rank{2, 0, 0}));
}

TEST(Ranks, OnlyTheHighestMovesIntoAGap) {
  const Deployment deployment = Settled(
      {Running("a", "n", {0, 0, 0}), Running("b", "n", {2, 0, 1}), Running("c", "n", {3, 0, 2})});
  EXPECT_EQ(CloseGaps(deployment), (std::vector<NewRank>{{"c", {1, 0, 2}}}));
}

TEST(Ranks, AGapOnANodeAndOneOfANodeAreClosed) {
  const Deployment deployment =
      Settled({Running("a", "n", {0, 2, 1}), Running("b", "m", {1, 0, 0})});
  EXPECT_EQ(CloseGaps(deployment), (std::vector<NewRank>{{"a", {0, 1, 0}}}));
}

TEST(Ranks, WhileReplicasComeOrGoNothingMoves) {
  Deployment deployment = Settled({Running("a", "n", {3, 0, 0})});
  ASSERT_EQ(CloseGaps(deployment).size(), 1u);
  deployment.status.status = DeploymentStatus::kUpscaling;
  EXPECT_TRUE(CloseGaps(deployment).empty());
  deployment.status.status = DeploymentStatus::kHealthy;
  deployment.replicas.push_back(Running("b", "n", {0, 0, 1}));
  deployment.replicas.back().state = ReplicaState::kStopping;
  EXPECT_TRUE(CloseGaps(deployment).empty());
}

RC_GTEST_PROP(Ranks, NoneIsLeftOutAndWhoHasARightOneKeepsIt, ()) {
  const auto held = *rc::gen::container<std::set<int>>(rc::gen::inRange(0, 30));
  std::vector<Replica> replicas;
  for (const int rank : held) {
    const int node = *rc::gen::inRange(0, 3);
    replicas.push_back(
        Running("r" + std::to_string(rank), "n" + std::to_string(node), {rank, node, rank}));
  }
  Deployment deployment = Settled(std::move(replicas));
  const auto changes = CloseGaps(deployment);
  int moved = 0;
  for (const NewRank& change : changes) {
    Replica& replica = *deployment.Find(change.unique);
    if (change.rank.global != replica.rank.global) ++moved;
    replica.rank = change.rank;
  }
  std::set<int> global;
  std::map<NodeId, std::set<int>> local;
  std::set<int> nodes;
  for (const Replica& replica : deployment.replicas) {
    RC_ASSERT(global.insert(replica.rank.global).second);
    RC_ASSERT(local[replica.node].insert(replica.rank.local).second);
    nodes.insert(replica.rank.node);
  }
  const auto dense = [](const std::set<int>& ranks) {
    return ranks.empty() || (*ranks.begin() == 0 && *ranks.rbegin() == int(ranks.size()) - 1);
  };
  RC_ASSERT(dense(global));
  RC_ASSERT(dense(nodes) && nodes.size() == local.size());
  for (const auto& [node, ranks] : local) RC_ASSERT(dense(ranks));
  const auto beyond = std::count_if(
      held.begin(), held.end(), [&](int rank) { return rank >= static_cast<int>(held.size()); });
  RC_ASSERT(moved == beyond);
  RC_ASSERT(CloseGaps(deployment).empty());
}

}  // namespace
}  // namespace penstock::control
