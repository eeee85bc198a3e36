// What should be, from what runs: for a controller whose state database was lost. No I/O.
//
// Each replica carries the record of its application and its deployment's options, code and
// version. What has no replica is not known to anybody: deployments at zero, pending ones, and
// applications of only those.
#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <vector>

#include "control/state.h"
#include "engine/engine.h"

namespace penstock::control {

// What replicas are told of their application, for Rebuild.
nlohmann::json RecordOf(const App& app);

// True when the records differ in more than when they were deployed.
bool RecordsDiffer(const nlohmann::json& a, const nlohmann::json& b);

class Rebuild {
 public:
  // Adds what a replica tells to `state`; of several records the one that was deployed last counts.
  // False, and nothing changes, when the replica carries no record that can be read.
  bool Add(State& state, const engine::StartOrder& order);

  // Once all have been heard: targets of autoscaled deployments, and applications as far as they
  // are known. Returns the deployments that no replica told of.
  std::vector<DeploymentId> Finish(State& state) const;

 private:
  std::map<DeploymentId, double> deployed_unix_;  // of the record that a deployment is from
};

}  // namespace penstock::control
