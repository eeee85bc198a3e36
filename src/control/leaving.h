// Replicas on their way out: taken off the routes, acknowledged, then stopped.
//
// The order matters: a replica that is stopped while a router still sends to it loses requests.
//
// Thread: the controller's loop.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "control/route_book.h"
#include "engine/engine.h"
#include "penstock/ids.h"
#include "penstock/units.h"

namespace penstock::control {

// A router that does not acknowledge within this is taken for dead; the replica itself refuses
// what it still sends.
inline constexpr Duration kAckTimeout = std::chrono::seconds(2);

class Leaving {
 public:
  // Will stop `order.id` once every router acknowledged the next epoch, which is `epoch`.
  void Begin(const engine::StopOrder& order, std::uint64_t epoch, TimePoint now);

  // Forgets it: it is gone already.
  void Forget(const ReplicaId& id);

  // The orders that may go out now. The grace is counted from Begin.
  std::vector<engine::StopOrder> Ready(const RouteBook& book, TimePoint now);

  // When to ask again at the latest.
  TimePoint NextDeadline() const;

 private:
  struct Entry {
    engine::StopOrder order;
    std::uint64_t epoch = 0;
    TimePoint since{};
  };
  std::map<ReplicaId, Entry> entries_;
};

}  // namespace penstock::control
