// Which warm process a replica may be forked from, or why none. Pure.
//
// A fork inherits what its parent's program and libraries read from the environment when they
// began. A replica whose value of such a variable differs needs another parent.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "engine/local/environment.h"
#include "penstock/status.h"

namespace penstock::engine::local {

struct ZygoteKey {
  std::string python;  // the interpreter's path
  Variables fixed;     // what cannot change after its start, as it is set

  friend auto operator<=>(const ZygoteKey&, const ZygoteKey&) = default;
};

// True for a variable that the dynamic linker, the allocator, the interpreter or what every
// replica imports reads once.
bool IsFixedAtStart(const std::string& name);

// `launch` says how the code is loaded. Folders that runtime_env adds to PYTHONPATH make no
// difference: a fork can still look there. kFailedPrecondition when the replica is to have a
// process of its own, with the reason.
Result<ZygoteKey> ZygoteKeyOf(const nlohmann::json& launch, const ReplicaEnvironment& environment);

// The zygote's own variables: the node's, but for those that the key fixes.
Variables ZygoteVariables(const Variables& node_environment, const ZygoteKey& key);

}  // namespace penstock::engine::local
