// Gives waiting replicas their places: the shell around placement/.
#pragma once

#include <set>
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
  // Have no room, for another reason than before.
  std::vector<ReplicaId> refused;
  // Asks for an amount that no node of any size could give; with Ray's message.
  std::vector<std::pair<ReplicaId, std::string>> impossible;
  // Have to make room for others (precedence.h); with the reason, for people.
  std::vector<std::pair<ReplicaId, std::string>> displaced;
};

// Tries every waiting replica of `unplaced` once, a gang as one, and notes why those that stay
// waiting do. They go by their standing (precedence.h), among equals in the order of their
// deployments and creation (pack: the largest first). One without room may claim what others leave,
// or have to leave, before any that stands below it; a gang, or one with a placement group, does
// not. Deployments that have none are taken out of `unplaced`.
Placements PlaceWaiting(State& state, std::set<DeploymentId>& unplaced,
                        const placement::Policy& policy);

// True for gangs, and for placement groups whose bundles may lie on several nodes.
bool MaySpanNodes(const DeploymentSpec& spec);

// What a replica that is placed holds: its bundles, else its allocation.
std::vector<resources::Reservation> HeldBy(const Replica& replica);

// Takes and gives back what lies on nodes that are alive.
void Take(State& state, const std::vector<resources::Reservation>& reservations);
void GiveBack(State& state, const std::vector<resources::Reservation>& reservations);

// For what was given before this controller, or before a node was thought dead: since then it may
// have been given to others. Returns those that were taken, and those on nodes that are not alive.
std::vector<resources::Reservation> TakeFree(
    State& state, const std::vector<resources::Reservation>& reservations);

// Gives back what a replica holds, if it was placed.
void ReleasePlace(State& state, Replica& replica);

// Ray's policy variables, read by the caller: RAY_SERVE_USE_PACK_SCHEDULING_STRATEGY and
// RAY_SERVE_HIGH_PRIORITY_CUSTOM_RESOURCES.
placement::Policy PolicyFrom(const std::string& use_pack, const std::string& high_priority);

}  // namespace penstock::control
