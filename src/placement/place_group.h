// Chooses nodes and devices for bundles that are reserved together or not at all: those of a
// replica (placement_group_bundles), or of a gang of replicas.
//
// Source: behaviour specification, 4.3 and 4.6; strategies as in Ray's placement groups.
#pragma once

#include <string>
#include <variant>
#include <vector>

#include "penstock/deployment.h"
#include "placement/place.h"

namespace penstock::placement {

// What has to be found. Never empty. Of each bundle only the first selector counts.
struct GroupDemand {
  std::vector<resources::Demand> bundles;
  GroupStrategy strategy = GroupStrategy::kPack;
};

// Rooms for all bundles, in their order. Taking them is the caller's.
struct GroupPlaced {
  std::vector<Placed> bundles;
};

// No room for all of them at once.
struct GroupRefused {
  Refused::Code code = Refused::Code::kNeverFits;
  std::string why;  // for people: which bundle, and what each node lacks for it

  // kNeverFits or kFitsLater.
  const char* CodeText() const;

  // For status messages, one line: the code, and why.
  std::string Text() const;
};

using GroupDecision = std::variant<GroupPlaced, GroupRefused>;

// Decides for one group. `state` is advanced when it is placed.
//
// STRICT_PACK: one node. PACK: one node if one has room, else few. STRICT_SPREAD: a node each;
// found whenever there is a way. SPREAD: a node each as far as that goes. Nodes are tried in the
// order of `policy`, bundles the largest first. On a node a fraction goes where Fit puts it, and
// after kMostTrials the search ends: what needs another order of fractions, or a longer search,
// is refused though there would be a way.
GroupDecision PlaceGroup(const Cluster& cluster, const GroupDemand& group, const Policy& policy,
                         PlacementState& state);

inline constexpr int kMostTrials = 20'000;

// "STRICT_PACK".
const char* Name(GroupStrategy strategy);

}  // namespace penstock::placement
