// Replicas on their way out: taken off the routes, acknowledged, then stopped.
//
// The order matters: a replica that is stopped while a router still sends to it loses requests.
//
// Thread: the controller's loop.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "control/route_book.h"
#include "engine/engine.h"
#include "penstock/ids.h"
#include "penstock/units.h"

namespace penstock::control {

// A router that does not acknowledge within this of being told is taken for dead; the replica
// itself refuses what it still sends.
inline constexpr Duration kAckTimeout = std::chrono::seconds(2);

class Leaving {
 public:
  // Will stop `order.id` once it is off the routes and every router acknowledged that; at once if
  // it was never `routed`.
  void Begin(const engine::StopOrder& order, bool routed, TimePoint now);

  // Routers have been told of the routes as of `epoch`, without those that have begun to leave. A
  // new controller may have to wait with that.
  void Unrouted(std::uint64_t epoch, TimePoint now);

  // Forgets it: it is gone already.
  void Forget(const ReplicaId& id);

  // The orders that may go out now. The grace is counted from Begin.
  std::vector<engine::StopOrder> Ready(const RouteBook& book, TimePoint now);

  // When to ask again at the latest.
  TimePoint NextDeadline() const;

 private:
  struct Entry {
    engine::StopOrder order;
    std::optional<std::uint64_t> epoch;  // of the first routes without it
    TimePoint since{};
    TimePoint give_up_at = kNever;  // on routers that have not acknowledged that
  };
  std::map<ReplicaId, Entry> entries_;
};

}  // namespace penstock::control
