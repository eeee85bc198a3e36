#include "control/facts_book.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <string>

namespace penstock::control {
namespace {

using Running = std::map<NodeId, int>;

Running RunningIn(const NodeFacts& facts) {
  Running running;
  for (const auto& [node, fact] : facts) running[node] = fact.running_replicas;
  return running;
}

resources::NodeSpec Node(int number) {
  resources::NodeSpec node;
  node.id = node.name = "node" + std::to_string(number);
  return node;
}

RC_GTEST_PROP(FactsBook, IsWhatACountOfAllWouldBe, ()) {
  State state;
  FactsBook book;
  for (int i = 0; i < 3; ++i) state.cluster.Join(Node(i));
  for (int step = 0; step < 60; ++step) {
    const DeploymentId id{"app", "d" + std::to_string(*rc::gen::inRange(0, 4))};
    switch (*rc::gen::inRange(0, 6)) {
      case 0: {
        const resources::NodeSpec node = Node(*rc::gen::inRange(0, 4));
        const placement::ClusterNode* before = state.cluster.Find(node.id);
        if (before != nullptr && before->alive) break;
        state.cluster.Join(node);
        book.NodesChanged();
        break;
      }
      case 1: {
        const NodeId gone = "node" + std::to_string(*rc::gen::inRange(0, 4));
        const placement::ClusterNode* node = state.cluster.Find(gone);
        if (node == nullptr || !node->alive) break;
        state.cluster.Leave(gone);
        book.NodesChanged();
        break;
      }
      case 2:
        state.deployments.erase(id);
        book.Recount(state, id);
        break;
      default: {
        Replica replica;
        replica.node = "node" + std::to_string(*rc::gen::inRange(0, 4));
        replica.state = *rc::gen::element(ReplicaState::kStarting, ReplicaState::kRunning,
                                          ReplicaState::kPendingMigration, ReplicaState::kStopping);
        auto& replicas = state.deployments[id].replicas;
        if (replicas.size() > 3) {
          replicas.front() = replica;
        } else {
          replicas.push_back(replica);
        }
        book.Recount(state, id);
      }
    }
    RC_ASSERT(RunningIn(book.Facts(state)) == RunningIn(FactsOf(state)));
  }
}

}  // namespace
}  // namespace penstock::control
