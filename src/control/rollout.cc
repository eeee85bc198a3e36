#include "control/rollout.h"

#include <algorithm>
#include <cmath>

namespace penstock::control {
namespace {

int WholeGangs(int replicas, const DeploymentSpec& spec) {
  const int size = GangSize(spec);
  return (replicas + size - 1) / size * size;
}

// A wave that was smaller than a gang of the old version could never stop it.
int WaveOf(const RolloutCounts& counts, const DeploymentSpec& spec) {
  return std::max(WaveSize(counts.target, spec), counts.old_gang);
}

}  // namespace

int GangSize(const DeploymentSpec& spec) { return spec.gang ? spec.gang->gang_size : 1; }

int WaveSize(int target, const DeploymentSpec& spec) {
  const int wave = static_cast<int>(std::floor(spec.rolling_update_percentage * target));
  return WholeGangs(std::max(wave, 1), spec);
}

int Surge(const RolloutCounts& counts, const DeploymentSpec& spec) {
  if (counts.old_running == 0) return 0;
  if (spec.auto_surge) return WaveOf(counts, spec);
  const int surge = WholeGangs((spec.max_surge_percent * counts.target + 99) / 100, spec);
  return surge == 0 ? 0 : std::max(surge, counts.old_gang);
}

int OldReplicasToStop(const RolloutCounts& counts, const DeploymentSpec& spec) {
  const int running = counts.new_running + counts.old_running;
  if (Surge(counts, spec) > 0) {
    const int taken_over = std::clamp(running - counts.target, 0, counts.old_running);
    if (!spec.auto_surge || counts.new_refused == 0) return taken_over;
    const int out = std::max(counts.target - running, 0) + counts.old_stopping;
    const int refused = std::max(counts.new_refused, counts.old_gang);
    const int wave = std::min(WaveOf(counts, spec), refused);
    return std::clamp(wave - out, taken_over, counts.old_running);
  }
  const int excess = counts.old_running + counts.old_stopping - counts.target;
  if (excess >= counts.old_gang) return 0;
  const int pending = counts.target - running;
  return std::clamp(WaveOf(counts, spec) - pending, 0, counts.old_running);
}

int NewReplicasToStart(const RolloutCounts& counts, const DeploymentSpec& spec) {
  const int ours = counts.new_running + counts.new_starting;
  const int room = counts.target + Surge(counts, spec) - counts.old_running - ours;
  const int start = std::max(0, std::min(counts.target - ours, room));
  return start - start % GangSize(spec);
}

}  // namespace penstock::control
