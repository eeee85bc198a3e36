// What a change of options means for replicas that run: nothing, a word with the controller, a
// word with the replica, or a restart (behaviour specification, 2.1 and 7.5).
#pragma once

#include "penstock/deployment.h"

namespace penstock::config {

// Ordered: the class of several changes is the largest of them.
enum class ChangeClass {
  kNothing,      // identical
  kInPlace,      // adopted by controller, routers and agents; replicas do not notice
  kReconfigure,  // replicas are told, and keep running
  kRestart,      // replicas are replaced
};

// The class of going from `before` to `after`. A change of code is a restart whatever the options
// say; it is compared elsewhere, by its version.
ChangeClass ClassOfChange(const DeploymentSpec& before, const DeploymentSpec& after);

}  // namespace penstock::config
