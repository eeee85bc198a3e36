#include "control/claims.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <set>

#include "control/placer.h"

namespace penstock::control {
namespace {

using rc::gen::inRange;

// An instance with little room: nodes of a few CPUs and GPUs, deployments that want more.
State RandomState() {
  State state;
  const int nodes = *inRange(1, 4);
  for (int i = 0; i < nodes; ++i) {
    state.cluster.Join({.id = "n" + std::to_string(i),
                        .total = {{"CPU", Quantity::Units(*inRange(1, 5))},
                                  {"GPU", Quantity::Units(*inRange(0, 3))}}});
  }
  const int deployments = *inRange(1, 5);
  for (int i = 0; i < deployments; ++i) {
    Deployment deployment;
    deployment.id = {"a", "d" + std::to_string(i)};
    DeploymentSpec& spec = deployment.target.spec;
    spec.name = deployment.id.name;
    spec.priority = *inRange(-1, 2);
    spec.replica_resources.num_cpus = *inRange(0, 3);
    spec.replica_resources.num_gpus = *inRange(0, 5) / 2.0;
    spec.num_replicas = *inRange(1, 5);
    deployment.target_replicas = spec.num_replicas;
    if (*inRange(0, 3) > 0) {
      spec.autoscaling.emplace();
      spec.autoscaling->min_replicas = *inRange(0, spec.num_replicas + 1);
      spec.autoscaling->max_replicas = spec.num_replicas;
    }
    state.deployments.emplace(deployment.id, std::move(deployment));
  }
  return state;
}

// One more replica that waits.
void Add(State& state, const DeploymentId& id, const std::string& unique) {
  Replica& replica = AddReplica(state.deployments.at(id), unique, {});
  replica.spec = state.deployments.at(id).target.spec;
}

std::set<DeploymentId> All(const State& state) {
  std::set<DeploymentId> ids;
  for (const auto& [id, deployment] : state.deployments) ids.insert(id);
  return ids;
}

Placements PlaceAll(State& state) {
  std::set<DeploymentId> unplaced = All(state);
  return PlaceWaiting(state, unplaced, {});
}

// Fills the instance in some order, and lets some of it serve and some of it stop.
void Fill(State& state) {
  int made = 0;
  const auto ids = All(state);
  const int rounds = *inRange(0, 12);
  for (int i = 0; i < rounds; ++i) {
    const DeploymentId id = *rc::gen::elementOf(ids);
    const Deployment& deployment = state.deployments.at(id);
    if (static_cast<int>(deployment.replicas.size()) >= deployment.target_replicas) continue;
    Add(state, id, "r" + std::to_string(made++));
    PlaceAll(state);
  }
  for (auto& [id, deployment] : state.deployments) {
    for (Replica& replica : deployment.replicas) {
      if (!replica.placed) continue;
      const int what = *inRange(0, 6);
      if (what == 0) replica.state = ReplicaState::kStopping;
      if (what > 2) replica.state = ReplicaState::kRunning;
    }
    while (static_cast<int>(deployment.replicas.size()) < deployment.target_replicas) {
      Add(state, id, "r" + std::to_string(made++));
    }
  }
}

// Deployments with a replica that waits and has no claim.
std::vector<DeploymentId> WithoutClaim(const State& state) {
  std::vector<DeploymentId> ids;
  for (const auto& [id, deployment] : state.deployments) {
    const bool any = std::ranges::any_of(deployment.replicas, [](const Replica& replica) {
      return !replica.placed && replica.claim.empty();
    });
    if (any) ids.push_back(id);
  }
  return ids;
}

// Whether all of them had to go for one of `claimants`.
bool OnlyFor(const Placements& placements, const std::vector<DeploymentId>& claimants) {
  return std::ranges::all_of(placements.displaced, [&](const auto& entry) {
    return std::ranges::any_of(claimants, [&](const DeploymentId& id) {
      return entry.second.find("room for deployment '" + id.name + "'") != std::string::npos;
    });
  });
}

RC_GTEST_PROP(Claims, WhoHasToGoMayAndThoseItIsForThenHaveRoom, ()) {
  State state = RandomState();
  Fill(state);
  const Placements first = PlaceAll(state);
  std::map<DeploymentId, int> held;
  for (const auto& [id, deployment] : state.deployments) held[id] = HeldReplicas(deployment);
  std::set<ReplicaId> displaced;
  for (const auto& [id, why] : first.displaced) {
    RC_ASSERT(displaced.insert(id).second);
    Deployment& deployment = state.deployments.at(id.deployment);
    Replica& replica = *deployment.Find(id.unique);
    RC_ASSERT(replica.placed && replica.state != ReplicaState::kStopping);
    RC_ASSERT(deployment.target.spec.autoscaling.has_value());
    RC_ASSERT(--held[id.deployment] >= GuaranteedReplicas(deployment));
    replica.state = ReplicaState::kStopping;
  }
  // Nobody else has to go for what is already on its way. One that found nothing may find some now:
  // what was placed after it made others dispensable.
  const auto without = WithoutClaim(state);
  RC_ASSERT(OnlyFor(PlaceAll(state), without));
  const bool waited = !first.displaced.empty();
  for (auto& [id, deployment] : state.deployments) {
    for (Replica& replica : deployment.replicas) {
      if (replica.state == ReplicaState::kStopping) ReleasePlace(state, replica);
    }
    std::erase_if(deployment.replicas,
                  [](const Replica& r) { return r.state == ReplicaState::kStopping; });
  }
  const Placements then = PlaceAll(state);
  RC_ASSERT(!waited || !then.placed.empty());
  RC_ASSERT(OnlyFor(then, without));
}

TEST(Precedence, WhatIsMissingForAMinimumComesFirstThenThePriority) {
  EXPECT_TRUE(GoesBefore({true, -5}, {false, 5}));
  EXPECT_TRUE(GoesBefore({true, 5}, {true, -5}));
  EXPECT_TRUE(GoesBefore({false, 5}, {false, -5}));
  EXPECT_FALSE(GoesBefore({true, 5}, {true, 5}));
  EXPECT_TRUE(MayDisplace({true, 5}, 6));
  EXPECT_TRUE(MayDisplace({false, 5}, 4));
  EXPECT_FALSE(MayDisplace({false, 5}, 5));
}

}  // namespace
}  // namespace penstock::control
