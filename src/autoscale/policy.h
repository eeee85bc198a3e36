// Ray Serve's default autoscaling policy: load to replica count, with gains and delays.
//
// Source: behaviour specification, 5.3 (the formula) and 5.5 (bounds, initial size). Doubles are
// rounded up, as Serve does.
#pragma once

#include <string>

#include "penstock/deployment.h"
#include "penstock/units.h"

namespace penstock::autoscale {

// What the policy remembers between ticks: how long it has wanted to move, and which way.
struct DelayState {
  int direction = 0;  // ticks in a row that wanted more (> 0) or fewer (< 0)
  TimePoint since{};  // when the first of them was; meaningless at direction 0

  friend bool operator==(const DelayState&, const DelayState&) = default;
};

struct Load {
  int running = 0;      // replicas that take requests
  int target = 0;       // replicas wanted so far
  double requests = 0;  // running and queued, aggregated over the look-back period
  int gang_size = 1;    // targets are multiples of it
};

struct Decision {
  int target = 0;    // replicas wanted from now on, within the bounds
  DelayState state;  // hand back at the next tick
  // What led there, for `explain`: desired before delays and bounds, and the rule that decided.
  int desired = 0;
  std::string rule;
  // Earliest time at which the same load would decide differently; kNever when it would not.
  TimePoint due = kNever;
};

// One tick. The desired count is requests / target_ongoing_requests, moved from `running` by the
// gain of its direction, delayed, and clamped to [min_replicas, max_replicas].
Decision Decide(const AutoscalingSpec& spec, const Load& load, const DelayState& state,
                TimePoint now);

// What the default policy wants before gains, delays and bounds; at a cold start what decides.
double Wanted(const AutoscalingSpec& spec, const Load& load);

// The same for a policy of the user's that wants `wanted` replicas: gains, delays, the cold start
// and the bounds are around it (behaviour specification, 5.7).
Decision DecideFor(const AutoscalingSpec& spec, const Load& load, double wanted,
                   const DelayState& state, TimePoint now);

// `n` replicas as whole gangs: the next multiple of `gang_size` (behaviour specification, 5.4).
int WholeGangs(int n, int gang_size);

// `n` within [min_replicas, max_replicas].
int Bounded(const AutoscalingSpec& spec, int n);

// True when nothing runs and something waits: then no policy is asked.
bool IsColdStart(const Load& load);

// The count to start with: initial_replicas when set, else `current`, within the bounds.
int InitialTarget(const AutoscalingSpec& spec, int current);

// `n` replicas at `capacity` percent (behaviour specification, 5.5): 0 stays 0, else at least 1,
// halves round up. Pre: 0 <= capacity <= 100.
int AtCapacity(int n, double capacity);

}  // namespace penstock::autoscale
