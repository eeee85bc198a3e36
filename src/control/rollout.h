// How a new version takes over from an old one: how many replicas of the old may be taken out of
// service, and how many there may be beyond the target meanwhile. Pure.
//
// Source: behaviour specification, 7.5 ("Rolling update"); "auto" is ours.
#pragma once

#include "penstock/deployment.h"

namespace penstock::control {

// Replicas by what they run and do. Those that are stopping count only where said.
struct RolloutCounts {
  int target = 0;        // replicas wanted
  int old_running = 0;   // old version, in service
  int old_stopping = 0;  // old version, finishing
  int new_running = 0;   // target version, in service
  int new_starting = 0;  // target version, not in service yet
  int new_refused = 0;   // of these, those that have no room until others leave
  int old_gang = 1;      // the most replicas of the old version that stop together
};

// How many replicas there may be beyond the target while old ones are in service: 0 without a
// surge, ceil(max_surge_percent x target), or with "auto" a wave.
int Surge(const RolloutCounts& counts, const DeploymentSpec& spec);

// How many replicas of the old version to take out of service now.
//
// Without a surge, waves of max(floor(rolling_update_percentage x target), 1): what the new
// version has not yet taken over is owed to the wave. Zero while there are more old replicas than
// wanted: they go first, as a scale-down. With a surge, those that the new version has taken over
// from. With "auto" also those that a refused replica waits for, a wave at most: where there is no
// room beside the old version, one stops before one starts.
int OldReplicasToStop(const RolloutCounts& counts, const DeploymentSpec& spec);

// How many replicas of the target version to add.
int NewReplicasToStart(const RolloutCounts& counts, const DeploymentSpec& spec);

// How many replicas are placed and end together: 1 without gangs.
int GangSize(const DeploymentSpec& spec);

// The most replicas of one deployment that a rollout, or a change of configuration, may take out
// of service at a time. Waves and surges are whole gangs.
int WaveSize(int target, const DeploymentSpec& spec);

}  // namespace penstock::control
