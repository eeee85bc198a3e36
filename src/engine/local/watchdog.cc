#include "engine/local/watchdog.h"

#include <charconv>
#include <cmath>

namespace penstock::engine::local {
namespace {

constexpr Duration kLeastCpu = std::chrono::milliseconds(1);

const char* const kInterval = "RAY_SERVE_USER_HEALTH_CHECK_PROBE_INTERVAL_S";
const char* const kTimeout = "RAY_SERVE_USER_HEALTH_CHECK_PROBE_TIMEOUT_S";
const char* const kMaxFail = "RAY_SERVE_USER_HEALTH_CHECK_PROBE_MAX_FAIL";

template <class T>
bool Read(const std::string& text, T& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size();
}

Status Bad(const char* name, const std::string& value, const char* allowed) {
  return InvalidArgument(std::string(name) + " is '" + value + "', allowed is " + allowed);
}

Result<double> SecondsIn(const Variables& variables, const char* name, double otherwise) {
  const auto found = variables.find(name);
  if (found == variables.end()) return otherwise;
  double seconds = 0;
  if (!Read(found->second, seconds) || !std::isfinite(seconds) || seconds <= 0) {
    return Bad(name, found->second, "a number of seconds above 0");
  }
  return seconds;
}

bool Used(Duration before, Duration now) {
  // It may have become less: what a child used is gone with it.
  return std::chrono::abs(now - before) >= kLeastCpu;
}

}  // namespace

Result<WatchdogLimits> WatchdogLimitsFrom(const Variables& variables) {
  const auto interval = SecondsIn(variables, kInterval, 60);
  if (!interval.ok()) return interval.status();
  const auto timeout = SecondsIn(variables, kTimeout, 300);
  if (!timeout.ok()) return timeout.status();
  int probes = 3;
  if (const auto found = variables.find(kMaxFail); found != variables.end()) {
    if (!Read(found->second, probes) || probes < 0) {
      return Bad(kMaxFail, found->second, "a whole number from 0");
    }
  }
  return WatchdogLimits{.enabled = probes > 0,
                        .silence = FromSeconds(*timeout),
                        .patience = FromSeconds(probes * (*interval + *timeout))};
}

const char* Name(Health health) {
  switch (health) {
    case Health::kHealthy:
      return "healthy";
    case Health::kBusy:
      return "busy";
    case Health::kStalled:
      break;
  }
  return "stalled";
}

Signs Take(const Signs& before, const Pulse& pulse, TimePoint now) {
  const bool lives = pulse.turns != before.pulse.turns || pulse.requests != before.pulse.requests ||
                     Used(before.pulse.cpu, pulse.cpu);
  return lives ? Signs{pulse, now} : before;
}

Health Judge(const HeldUp& facts, const WatchdogLimits& limits, TimePoint now) {
  if (facts.own_check && now - facts.last_sign >= facts.check_timeout) return Health::kStalled;
  if (!limits.enabled) return Health::kBusy;
  const bool silent = now - facts.last_sign >= limits.silence;
  return silent || now - facts.last_turn >= limits.patience ? Health::kStalled : Health::kBusy;
}

ThreadSigns Take(const ThreadSigns& before, const ThreadFacts& facts, TimePoint now) {
  const bool open = facts.taken < facts.limit || facts.queued == 0;
  const bool lives = open || facts.begun != before.facts.begun || Used(before.facts.cpu, facts.cpu);
  return lives ? ThreadSigns{facts, now} : before;
}

Health Judge(const ThreadSigns& signs, const WatchdogLimits& limits, TimePoint now) {
  const bool stuck = limits.enabled && now - signs.last >= limits.patience;
  return stuck ? Health::kStalled : Health::kHealthy;
}

}  // namespace penstock::engine::local
