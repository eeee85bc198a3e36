// Room that becomes free, kept for the replicas that come first. Pure.
//
// Without it, what comes later takes what others left before enough of it is together. A value of
// this kind lives for one round of placement. The next round comes to the same claims: by then
// those who have to go are stopping, and each replica claims first where it did before.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "control/precedence.h"
#include "control/state.h"
#include "penstock/ids.h"
#include "placement/place.h"

namespace penstock::control {

class Claims {
 public:
  // As of now; `state` outlives it.
  explicit Claims(const State& state);

  struct Claim {
    NodeId node;
    std::vector<ReplicaId> displaced;  // have to go for it; not those that go already
  };

  // For `replica`, one of `deployment` that has no room: finds where it would have some once those
  // have gone that are going, best where it has a claim already; else where the fewest have to go
  // for it, those of the lowest priority. What is found is not found again. nullopt: there is
  // nothing.
  std::optional<Claim> Make(const DeploymentId& deployment, const Replica& replica,
                            const Standing& standing, const resources::Demand& demand,
                            const placement::Policy& policy);

  // What there is for those who come after: without what is claimed of what is free.
  const placement::Cluster& rest() const { return rest_; }

  // The deployment whose claim is on that node; nullptr for none.
  const DeploymentId* Claimant(const NodeId& node) const;

  // One of those has been given a place.
  void Take(const std::vector<resources::Reservation>& reservations);

 private:
  // One that may have to go.
  struct Candidate {
    ReplicaId id;
    int priority = 0;
    bool in_service = false;
    resources::Allocation allocation;
  };
  struct Choice {
    placement::ClusterNode* node = nullptr;
    std::vector<Candidate> displaced;
  };
  void FindCandidates(const Deployment& deployment);
  std::optional<Choice> ChooseDisplaced(const DeploymentId& deployment, const Standing& standing,
                                        const resources::Demand& demand);
  std::vector<Candidate> Needed(placement::ClusterNode node, const DeploymentId& deployment,
                                const Standing& standing, const resources::Demand& demand) const;
  void Note(const DeploymentId& deployment, const NodeId& node,
            const resources::Allocation& allocation);

  placement::PlacementState placement_;
  placement::Cluster rest_;
  placement::Cluster later_;  // when all have gone that are going, without what is claimed
  std::map<NodeId, std::vector<Candidate>> candidates_;  // those that go first in front
  std::map<DeploymentId, int> beyond_;                   // how many more of each may go
  std::map<NodeId, DeploymentId> claimants_;
};

}  // namespace penstock::control
