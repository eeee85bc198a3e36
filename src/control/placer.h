// Gives waiting replicas their places: the shell around placement/.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "control/state.h"
#include "penstock/ids.h"
#include "placement/place.h"

namespace penstock::control {

// What became of the replicas that waited.
struct Placements {
  std::vector<ReplicaId> placed;  // node and allocation are taken and noted in the replica
  // Asks for an amount that no node of any size could give; with Ray's message.
  std::vector<std::pair<ReplicaId, std::string>> impossible;
};

// Tries every waiting replica once, in the order of their deployments and creation (pack: the
// largest first), and notes why those that stay waiting do.
Placements PlaceWaiting(State& state, const placement::Policy& policy);

// Gives back what a replica holds, if it was placed.
void ReleasePlace(State& state, Replica& replica);

// Ray's policy variables, read by the caller: RAY_SERVE_USE_PACK_SCHEDULING_STRATEGY and
// RAY_SERVE_HIGH_PRIORITY_CUSTOM_RESOURCES.
placement::Policy PolicyFrom(const std::string& use_pack, const std::string& high_priority);

}  // namespace penstock::control
