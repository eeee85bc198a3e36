#include "autoscale/policy.h"

#include <algorithm>
#include <cmath>

namespace penstock::autoscale {
namespace {

// Serve compares elapsed seconds as doubles with this much slack.
constexpr Duration kDelaySlack = std::chrono::microseconds(1);

int CeilCount(double value) { return static_cast<int>(std::ceil(value)); }

// The order of operations is Serve's: another one rounds differently at whole numbers.
double Raw(const AutoscalingSpec& spec, const Load& load) {
  if (load.running == 0) return load.target;
  return load.running * (load.requests / (spec.target_ongoing_requests * load.running));
}

// `raw` moved from what runs by the gain of its direction.
int Desired(const AutoscalingSpec& spec, const Load& load, double raw) {
  if (load.running == 0) return std::max(0, CeilCount(raw));
  const double delta = raw - load.running;
  const double gain = delta > 0 ? spec.UpscaleGain() : spec.DownscaleGain();
  int desired = CeilCount(load.running + gain * delta);
  // A gain below one must not stop the shrinking short of what the load allows.
  if (CeilCount(raw) < load.running && desired == load.running) --desired;
  return std::max(0, desired);
}

struct Delayed {
  int count;
  DelayState state;
  const char* rule;
  TimePoint due;
};

Delayed HoldBack(const AutoscalingSpec& spec, int desired, int target, DelayState state,
                 TimePoint now) {
  if (desired == target) return {target, {}, "steady", kNever};
  const bool up = desired > target;
  if (up ? state.direction <= 0 : state.direction >= 0) state = {0, now};
  state.direction += up ? 1 : -1;
  double delay_s = up ? spec.upscale_delay_s : spec.downscale_delay_s;
  if (!up && target == 1) {
    delay_s = spec.downscale_to_zero_delay_s.value_or(spec.downscale_delay_s);
  } else if (!up) {
    desired = std::max(desired, 1);  // the last replica has a delay of its own
  }
  const TimePoint due = state.since + FromSeconds(delay_s);
  if (now + kDelaySlack >= due) return {desired, {}, up ? "upscale" : "downscale", kNever};
  return {target, state, up ? "upscale_delay" : "downscale_delay", due};
}

}  // namespace

int Bounded(const AutoscalingSpec& spec, int n) {
  return std::max(spec.min_replicas, std::min(spec.max_replicas, n));
}

int WholeGangs(int n, int gang_size) { return (n + gang_size - 1) / gang_size * gang_size; }

double Wanted(const AutoscalingSpec& spec, const Load& load) {
  if (IsColdStart(load)) return std::max(CeilCount(spec.UpscaleGain()), load.target);
  return Raw(spec, load);
}

bool IsColdStart(const Load& load) { return load.running == 0 && load.requests > 0; }

Decision Decide(const AutoscalingSpec& spec, const Load& load, const DelayState& state,
                TimePoint now) {
  return DecideFor(spec, load, Raw(spec, load), state, now);
}

Decision DecideFor(const AutoscalingSpec& spec, const Load& load, double wanted,
                   const DelayState& state, TimePoint now) {
  Decision decision{.state = state};
  const auto clamp = [&](int n) { return Bounded(spec, WholeGangs(n, load.gang_size)); };
  if (IsColdStart(load)) {
    decision.desired = std::max(CeilCount(spec.UpscaleGain()), load.target);
    decision.rule = "cold_start";
    decision.target = clamp(decision.desired);
    return decision;
  }
  decision.desired = Desired(spec, load, wanted);
  if (load.running == 0 && decision.desired > 0) {
    decision.rule = "starting";
    decision.target = clamp(decision.desired);
    return decision;
  }
  // The last gang goes to sleep as the last replica does.
  const bool last_gang = spec.min_replicas == 0 && load.target == load.gang_size;
  const Delayed delayed = HoldBack(spec, decision.desired, last_gang ? 1 : load.target, state, now);
  decision.state = delayed.state;
  decision.rule = delayed.rule;
  decision.target = clamp(delayed.count);
  // At its bound the count will be the same when the delay is over.
  if (clamp(decision.desired) != load.target) decision.due = delayed.due;
  return decision;
}

int InitialTarget(const AutoscalingSpec& spec, int current) {
  return Bounded(spec, spec.initial_replicas.value_or(current));
}

int AtCapacity(int n, double capacity) {
  if (n == 0 || capacity == 0) return 0;
  return std::max(1, static_cast<int>(std::floor(n * capacity / 100 + 0.5)));
}

}  // namespace penstock::autoscale
