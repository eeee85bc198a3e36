#include "control/rollout.h"

#include <algorithm>
#include <cmath>

namespace penstock::control {

int OldReplicasToStop(const RolloutCounts& counts, double percentage) {
  if (counts.target < counts.old_running + counts.old_stopping) return 0;
  const int wave = std::max(static_cast<int>(std::floor(percentage * counts.target)), 1);
  const int pending = counts.target - counts.new_running - counts.old_running;
  return std::clamp(wave - pending, 0, counts.old_running);
}

}  // namespace penstock::control
