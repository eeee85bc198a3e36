// What everything that an agent starts shares.
#pragma once

#include <string>

#include "base/instance.h"
#include "engine/local/environment.h"
#include "resources/node.h"

namespace penstock::engine::local {

// The variable that marks a replica's processes: its value is the unique part of its id.
inline constexpr const char* kReplicaMark = "PENSTOCK_REPLICA";
// A zygote's, of the size of all that the controller makes: its forks show theirs in its place.
inline constexpr const char* kNoReplica = "--------";

struct NodeContext {
  base::InstancePaths paths;
  resources::NodeSpec node;
  Variables environment;   // of the agent: what its replicas inherit
  std::string executable;  // of penstock itself, which hosts C++ code
};

}  // namespace penstock::engine::local
