// The environment variables a replica gets, and the reason of each that the engine chose. Pure.
//
// Rules: behaviour specification, 3.5 (visible devices, OMP_NUM_THREADS) and 3.4 (families).
#pragma once

#include <map>
#include <string>
#include <vector>

#include "engine/engine.h"
#include "resources/node.h"

namespace penstock::engine::local {

using Variables = std::map<std::string, std::string>;

// A variable that the engine decided about, for the status page.
struct Decided {
  std::string value;
  std::string reason;  // "floor(num_cpus=2.75)", "assigned GPU 0", ...
  friend bool operator==(const Decided&, const Decided&) = default;
};

struct ReplicaEnvironment {
  Variables variables;                     // all of them, ready for the process
  std::map<std::string, Decided> decided;  // by name
  // What PYTHONPATH begins with because of runtime_env; the rest is what it would be without.
  std::vector<std::string> import_folders;
};

// `node_environment` is that of the agent: what was set when the node was started reaches its
// replicas. runtime_env wins over it; assigned devices win over both.
ReplicaEnvironment MakeEnvironment(const Variables& node_environment,
                                   const resources::NodeSpec& node, const StartOrder& order);

// The visible ids of the devices that were assigned, by resource.
std::map<std::string, std::vector<std::string>> AssignedIds(
    const resources::NodeSpec& node, const resources::Allocation& allocation);

}  // namespace penstock::engine::local
