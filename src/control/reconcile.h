// What a deployment needs next. Pure: the same state and time give the same plan.
//
// The caller carries the plan out by changing the state (AddReplica, states) and giving the
// engine its orders, and asks again after every event and at `wake`.
#pragma once

#include <string>
#include <vector>

#include "control/deployment.h"
#include "control/victims.h"
#include "penstock/units.h"

namespace penstock::control {

struct Plan {
  int create = 0;                        // replicas of the target version to add
  std::vector<std::string> stop;         // to be taken out of service, gracefully
  std::vector<std::string> reconfigure;  // to be told of the target's configuration
  std::vector<std::string> adopt;        // run the target in all that they need to know
  TimePoint wake = kNever;               // ask again then, if nothing happens before

  // True when there is nothing to do now.
  bool empty() const { return create == 0 && stop.empty() && reconfigure.empty() && adopt.empty(); }
};

Plan Reconcile(const Deployment& deployment, const NodeFacts& nodes, TimePoint now);

// Reports HEALTHY once all that is wanted runs the target version and nothing else is under way;
// then failures are forgotten. True when anything of that changed.
bool RefreshStatus(Deployment& deployment);

}  // namespace penstock::control
