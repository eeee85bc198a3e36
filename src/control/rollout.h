// How many replicas of an old version may be taken out of service this time. Pure.
//
// Source: behaviour specification, 7.5 ("Rolling update").
#pragma once

namespace penstock::control {

// Replicas by what they run and do. Those that are stopping count only where said.
struct RolloutCounts {
  int target = 0;        // replicas wanted
  int old_running = 0;   // old version, in service
  int old_stopping = 0;  // old version, finishing
  int new_running = 0;   // target version, in service
};

// Waves of max(floor(percentage x target), 1): what the new version has not yet taken over is
// owed to the wave. Zero while there are more old replicas than wanted: they go first, as a
// scale-down. Pre: 0 < percentage <= 1.
int OldReplicasToStop(const RolloutCounts& counts, double percentage);

}  // namespace penstock::control
