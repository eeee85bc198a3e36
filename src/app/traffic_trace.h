// Recorded traffic, as text.
#pragma once

#include <cstdint>
#include <istream>
#include <vector>

#include "control/scaling_simulation.h"
#include "penstock/status.h"

namespace penstock::app {

// What a trace leaves open.
struct ServiceTimes {
  double mean_s = 1;     // (0, 86400]
  double deviation = 1;  // over the mean; log-normal. [0, 10]
  std::uint64_t seed = 1;
};

struct TrafficTrace {
  std::vector<control::SimulatedRequest> requests;  // in order of arrival
  std::int64_t duration_s = 0;
};

// Each line is one second's requests ("12"), or one request ("T_MS,SERVICE_MS"); the first decides
// which. '#' begins a comment. Requests of a second are spread over it evenly. kInvalidArgument
// naming the line; more than 1e8 requests, or 1e7 seconds, are refused.
Result<TrafficTrace> ReadTrafficTrace(std::istream& text, const ServiceTimes& times);

}  // namespace penstock::app
