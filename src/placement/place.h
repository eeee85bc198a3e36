// Chooses a node and devices for one replica, or says why there are none.
//
// Sources: strategies as in the behaviour specification, section 4.1 (Ray's SPREAD, and the best
// fit of Ray Serve's pack); devices inside a node as in 3.6. Where Ray chooses a node by sums and
// finds on arrival that no device has room, we never choose that node.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "penstock/ids.h"
#include "placement/cluster.h"
#include "resources/demand.h"
#include "resources/node.h"

namespace penstock::placement {

enum class Strategy {
  kSpread,  // round-robin over the nodes that have room now
  kPack,    // the node in use that it fills best, then an idle one
};

struct Policy {
  Strategy strategy = Strategy::kSpread;
  // Pack only: custom resources compared before GPU, CPU and memory.
  std::vector<std::string> high_priority_resources;
};

// Spread's memory: where the last replica went. The caller keeps it between calls.
struct PlacementState {
  NodeId last_node;
};

// A room was found. Taking it is the caller's.
using Placed = resources::Reservation;

// Why one node cannot take the replica: the first constraint that fails, in this order.
struct NodeRefusal {
  enum class Reason {
    kDead,      // the node has left
    kDraining,  // it takes nothing new
    kLabel,     // no selector of the replica matches its labels
    kResource,  // `shortage` says which
  };
  NodeId node;
  std::string node_name;
  Reason reason = Reason::kResource;
  std::string label;             // kLabel: "zone=us-1", the first term that fails
  resources::Shortage shortage;  // kResource

  // One sentence for people, without the node's name: "needs 2 custom_resource, has 0".
  std::string Text() const;

  // True when the node could take it once others leave or the node comes back.
  bool Later() const;
};

// No node has room.
struct Refused {
  enum class Code {
    kNeverFits,  // no node that is here could take it, however empty
    kFitsLater,  // some node could, once others on it are gone
  };
  Code code = Code::kNeverFits;
  std::vector<NodeRefusal> nodes;  // every node, in the order in which they joined
  // The node that came nearest: least is missing on it, relative to what is asked. -1: no nodes.
  int nearest = -1;

  // kNeverFits or kFitsLater below.
  const char* CodeText() const;

  // For status messages, one line: code, nearest miss, and each node's reason.
  std::string Text() const;
};

inline constexpr const char* kNeverFits = "never_fits";
inline constexpr const char* kFitsLater = "fits_later";

using Decision = std::variant<Placed, Refused>;

// Decides for one replica. `state` is advanced when it is placed. A replica's selectors are
// tried in order, each over all nodes, before the next.
Decision Place(const Cluster& cluster, const resources::Demand& demand, const Policy& policy,
               PlacementState& state);

// What one node would give a replica now; nullopt when it has no room, or may take none.
std::optional<resources::Allocation> RoomOn(const ClusterNode& node,
                                            const resources::Demand& demand);

// Pack places what is largest first. True when `a` goes before `b`; a strict weak order that
// calls equals equal, so that a stable sort keeps the order of arrival.
bool PlacesBefore(const resources::Demand& a, const resources::Demand& b, const Policy& policy);

}  // namespace penstock::placement
