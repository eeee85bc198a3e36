// Whether a replica that does not answer its health checks is busy or stalled. Pure.
//
// A loop that user code holds up cannot answer. As long as something shows that the code gets on
// it is busy, not dead; one without any sign of life, or held up beyond all patience, is stalled.
//
// Source of the times: Ray Serve's watchdog (behaviour specification, 7.3) gives a loop three
// probes, a minute apart, of five minutes each.
#pragma once

#include <cstdint>
#include <string>

#include "engine/local/environment.h"
#include "penstock/status.h"
#include "penstock/units.h"

namespace penstock::engine::local {

struct WatchdogLimits {
  bool enabled = true;
  // Without a sign of life for so long: stalled.
  Duration silence = std::chrono::minutes(5);
  // Held up for so long: stalled, whatever it does.
  Duration patience = std::chrono::minutes(18);
};

// As RAY_SERVE_USER_HEALTH_CHECK_PROBE_INTERVAL_S, _TIMEOUT_S and _MAX_FAIL say: silence is one
// time-out, patience all probes together, none of them (0) turns the watchdog off.
// kInvalidArgument with the variable's name.
Result<WatchdogLimits> WatchdogLimitsFrom(const Variables& variables);

// What can be seen of a replica from outside; any change of it is a sign of life.
struct Pulse {
  std::uint64_t turns = 0;     // of its loop
  std::uint64_t requests = 0;  // begun and answered
  Duration cpu{};              // used by its processes
};

// When the last sign of life was seen.
struct Signs {
  Pulse pulse;
  TimePoint last{};
};

// Takes up what is seen now. Less than a millisecond of CPU is none: an alarm that rings in a
// process that sleeps.
Signs Take(const Signs& before, const Pulse& pulse, TimePoint now);

enum class Health { kHealthy, kBusy, kStalled };

// "busy".
const char* Name(Health health);

// A health check was asked for and the replica's loop has not taken it up.
struct HeldUp {
  TimePoint last_turn{};  // of the loop
  TimePoint last_sign{};
  bool own_check = false;    // user code has a check_health: it is to be heard in time
  Duration check_timeout{};  // health_check_timeout_s
};

// With a check_health of its own a replica is stalled after a time-out without a sign of life, as
// any check that is not answered would have it; else after `silence`.
Health Judge(const HeldUp& facts, const WatchdogLimits& limits, TimePoint now);

// The threads of sync methods, as the replica tells with each check.
struct ThreadFacts {
  int limit = 0;
  int taken = 0;            // run user code
  int queued = 0;           // calls that wait for one
  std::uint64_t begun = 0;  // calls that a thread has taken up
  Duration cpu{};           // used by all threads but the loop's
};

// What is to be watched of them: a pulse that beats as long as calls can be taken up.
struct ThreadSigns {
  ThreadFacts facts;
  TimePoint last{};
};
ThreadSigns Take(const ThreadSigns& before, const ThreadFacts& facts, TimePoint now);

// Stalled: all of them taken, calls wait, and for all of `patience` none was taken up and no CPU
// was used.
Health Judge(const ThreadSigns& signs, const WatchdogLimits& limits, TimePoint now);

}  // namespace penstock::engine::local
