// What a simulated deployment did, for people.
#pragma once

#include <string>

#include "control/scaling_simulation.h"

namespace penstock::app {

// Over time: replicas, ongoing requests and waiting, each the largest of its column, `width`
// columns wide; then the sums. A request is in time that waits at most `objective_s`.
// Pre: the outcome has at least one second.
std::string ScalingChart(const control::ScalingOutcome& outcome, double objective_s, int width);

// A line each second: "t_s,target,ready,starting,queued,running,longest_wait_s".
std::string ScalingCsv(const control::ScalingOutcome& outcome);

}  // namespace penstock::app
