#include "control/leaving.h"

#include <algorithm>
#include <utility>

namespace penstock::control {

void Leaving::Begin(const engine::StopOrder& order, bool routed, TimePoint now) {
  Entry entry{.order = order, .since = now};
  if (!routed) entry.epoch = 0;
  entries_.insert_or_assign(order.id, entry);
}

void Leaving::Unrouted(std::uint64_t epoch, TimePoint now) {
  for (auto& [id, entry] : entries_) {
    if (entry.epoch) continue;
    entry.epoch = epoch;
    entry.give_up_at = now + kAckTimeout;
  }
}

void Leaving::Forget(const ReplicaId& id) { entries_.erase(id); }

std::vector<engine::StopOrder> Leaving::Ready(const RouteBook& book, TimePoint now) {
  std::vector<engine::StopOrder> ready;
  std::erase_if(entries_, [&](const auto& item) {
    const Entry& entry = item.second;
    const bool acknowledged =
        entry.epoch && book.Acknowledged(entry.order.id.deployment, *entry.epoch);
    if (!acknowledged && now < entry.give_up_at) return false;
    engine::StopOrder order = entry.order;
    order.grace = std::max(Duration::zero(), order.grace - (now - entry.since));
    ready.push_back(order);
    return true;
  });
  return ready;
}

TimePoint Leaving::NextDeadline() const {
  TimePoint next = kNever;
  for (const auto& [id, entry] : entries_) next = std::min(next, entry.give_up_at);
  return next;
}

}  // namespace penstock::control
