// Empties a node whose replicas others have room for, so that it can be given back. Pure.
//
// Source: behaviour specification, 4.5. Only where placement packs; the node then drains without a
// deadline, and takes replicas again when it is empty, or when that took too long.
#pragma once

#include <optional>

#include "control/state.h"
#include "penstock/ids.h"
#include "penstock/units.h"
#include "placement/place.h"

namespace penstock::control {

struct CompactionOptions {
  Duration delay = std::chrono::seconds(300);          // all must have been healthy for so long
  Duration timeout = std::chrono::seconds(1800);       // for one node
  Duration most_backoff = std::chrono::seconds(3600);  // after failures: 2^n seconds, at most this
};

// The node to empty: not the head; nothing on it but replicas in service that belong to no gang and
// lie on no other node; all of them fit on nodes that have replicas and do not drain. The largest
// such node, of these the one with the fewest replicas, then the first to join. At most
// kMostCandidates are tried. nullopt: none.
std::optional<NodeId> NodeToEmpty(const State& state, const placement::Policy& policy);

inline constexpr int kMostCandidates = 100;

class Compaction {
 public:
  explicit Compaction(CompactionOptions options) : options_(options) {}

  struct Step {
    std::optional<NodeId> begin;  // is to drain
    std::optional<NodeId> end;    // is to take replicas again
  };

  // What to do now. `settled`: every deployment is healthy.
  Step Next(const State& state, bool settled, const placement::Policy& policy, TimePoint now);

  // When Next has something to do even if nothing happens.
  TimePoint NextLook(bool settled) const;

  // Somebody drains that node: it is theirs from now on.
  void Forget(const NodeId& node);

 private:
  struct UnderWay {
    NodeId node;
    TimePoint until{};
  };
  Step Continue(const State& state, TimePoint now);
  void Fail(TimePoint now);

  CompactionOptions options_;
  std::optional<TimePoint> settled_since_;
  std::optional<UnderWay> under_way_;
  int failures_ = 0;   // in a row
  TimePoint next_{};   // no look before
  bool idle_ = false;  // the last look found nothing: another one needs a reason
};

}  // namespace penstock::control
