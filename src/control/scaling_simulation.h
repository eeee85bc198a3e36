// What an autoscaling_config would have done with recorded traffic: the production autoscaler, with
// simulated replicas and requests.
//
// A replica serves max_ongoing_requests at a time from `startup_s` after it was ordered. Requests
// wait in one queue and go to the least busy replica. Those that are too many end as they would in
// the engine: starting ones first, then the least busy, which finish what they hold.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "penstock/deployment.h"
#include "penstock/status.h"

namespace penstock::control {

struct SimulatedRequest {
  double at_s = 0;       // when it arrives
  double service_s = 0;  // how long it is served
};

struct ScalingTrial {
  DeploymentSpec spec;   // autoscaling, max_ongoing_requests, gang
  double startup_s = 1;  // of a replica
};

// One second, as of its end.
struct ScalingSecond {
  int target = 0;
  int ready = 0;
  int starting = 0;
  double queued = 0;
  double running = 0;
  double longest_wait_s = 0;  // of the requests that began to be served in it
};

struct ScalingOutcome {
  std::vector<ScalingSecond> seconds;
  std::vector<float>
      waits_s;  // of each request, in order of arrival; those that still wait: so far
  double replica_seconds = 0;  // of replicas that start, serve or finish
  int starts = 0;              // replicas that were ordered
};

// Runs until `duration_s` from the first moment. Pre: `requests` in order of arrival; the spec has
// `autoscaling`. kInvalidArgument for a policy of the user's, which is code in a process of its
// own.
Result<ScalingOutcome> SimulateScaling(const ScalingTrial& trial,
                                       std::span<const SimulatedRequest> requests,
                                       std::int64_t duration_s);

}  // namespace penstock::control
