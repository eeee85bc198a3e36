// The ranks of a deployment's replicas. Pure.
//
// Rules: behaviour specification 4.7. Who is new takes the lowest that is free; who has one keeps
// it, until gaps are closed.
#pragma once

#include <string>
#include <vector>

#include "control/deployment.h"
#include "penstock/rank.h"

namespace penstock::control {

// For a replica that is to be added.
int LowestFreeRank(const Deployment& deployment);

// What `replica` gets with its node. Pre: it is placed.
Rank RankOnNode(const Deployment& deployment, const Replica& replica);

struct NewRank {
  std::string unique;  // ReplicaId::unique
  Rank rank;

  friend bool operator==(const NewRank&, const NewRank&) = default;
};

// Of a deployment that has settled (it is HEALTHY, all of its replicas run) those whose rank
// changes so that none is left out: as few as can be, the highest first. Of any other none.
std::vector<NewRank> CloseGaps(const Deployment& deployment);

}  // namespace penstock::control
