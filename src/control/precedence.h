// Who goes first when there is not room for all. Pure.
//
// A deployment is guaranteed a number of replicas: its least when it is autoscaled, else all that
// are wanted. What is missing for that comes before what goes beyond it; of either, a higher
// `priority` comes before a lower one. Ours: Ray Serve knows no priorities
// (docs/design/placement.md).
#pragma once

#include "control/deployment.h"
#include "penstock/deployment.h"

namespace penstock::control {

// Where a replica stands among all that wait.
struct Standing {
  bool guaranteed = true;  // its deployment has fewer than it is guaranteed
  int priority = 0;        // of its deployment

  friend bool operator==(const Standing&, const Standing&) = default;
};

// A strict weak order.
bool GoesBefore(const Standing& a, const Standing& b);

// How many replicas nobody may take from it; 0 while it is deleted.
int GuaranteedReplicas(const Deployment& deployment);

// How many have a place that they mean to keep.
int HeldReplicas(const Deployment& deployment);

// True when a replica that waits with `standing` may have the room of a replica that another
// deployment of this priority has beyond what it is guaranteed. Who goes before another may have at
// least as much.
bool MayDisplace(const Standing& standing, int priority);

}  // namespace penstock::control
