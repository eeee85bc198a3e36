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
  std::vector<std::string> abort;        // to be ended at once: their gang has lost a member
  std::vector<std::string> migrate;      // to serve only until others do
  std::vector<std::string> stay;         // not any more: their node takes replicas again
  std::vector<std::string> reconfigure;  // to be told of the target's configuration
  std::vector<std::string> adopt;        // run the target in all that they need to know
  bool again = false;                    // ask again at once: there is more to do
  TimePoint wake = kNever;               // ask again then, if nothing happens before

  // True when there is nothing to do now.
  bool empty() const {
    return create == 0 && stop.empty() && abort.empty() && migrate.empty() && stay.empty() &&
           reconfigure.empty() && adopt.empty();
  }
};

Plan Reconcile(const Deployment& deployment, const NodeFacts& nodes, TimePoint now);

// Reports HEALTHY once all that is wanted runs the target version and nothing else is under way;
// then failures are forgotten. True when anything of that changed.
bool RefreshStatus(Deployment& deployment);

// The controller before this one left it HEALTHY, and fewer serve than are wanted: they ended
// unseen. True when the status changed.
bool OnLostUnseen(Deployment& deployment);

}  // namespace penstock::control
