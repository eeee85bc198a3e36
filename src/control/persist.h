// Desired state as the store keeps it: one key per application and deployment.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "control/state.h"
#include "control/store.h"
#include "penstock/status.h"

namespace penstock::control {

// Keys of the nodes that are there, and of the instance's logging.
inline constexpr const char* kNodePrefix = "node/";
inline constexpr const char* kLogging = "setting/logging";

// The write that remembers an application.
Write Remember(const App& app);

// The write that remembers what a deployment should be, and how its last deploy went.
Write Remember(const Deployment& deployment);

// The writes that forget them.
Write ForgetApp(const std::string& name);
Write ForgetDeployment(const DeploymentId& id);

// The write that remembers that a shutdown is under way, or no more, and what a store says of it.
Write RememberShutdown(bool under_way);
bool RemembersShutdown(const std::map<std::string, std::string>& values);

// Fills `state` from what a store holds; replicas and nodes come from the engine. kInternal
// naming the key when a value cannot be read.
Status Restore(const std::map<std::string, std::string>& values, State& state);

}  // namespace penstock::control
