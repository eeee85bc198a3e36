// A policy that sizes a deployment for a waiting-time objective: so many of its requests shall
// start within so many seconds. Formulas and reasons: docs/design/autoscaling.md.
//
// A plain value of bounded size: what is learned lives in it, time comes in as an argument.
#pragma once

#include <cstdint>

#include "autoscale/slo_forecast.h"
#include "autoscale/slo_hold.h"
#include "autoscale/slo_plant.h"
#include "autoscale/slo_rates.h"
#include "autoscale/slo_shadow.h"
#include "penstock/deployment.h"
#include "penstock/units.h"

namespace penstock::autoscale {

struct SloConfig {
  SloSpec objective;
  int max_ongoing = 1;  // requests that a replica serves at a time
  int min_replicas = 1;
  int max_replicas = 1;
  double to_zero_delay_s = 0;  // the last replica stays at least so long without a request

  friend bool operator==(const SloConfig&, const SloConfig&) = default;
};

struct SloInput {
  TimePoint now;
  double arrivals = 0;   // requests since the last call
  double completed = 0;  // requests that ended since the last call
  double queued = 0;     // now
  double running = 0;    // now
  int ready = 0;         // replicas that take requests
  int starting = 0;      // replicas that were ordered and do not yet
};

struct SloDecision {
  int target = 0;         // replicas, within the bounds
  const char* rule = "";  // what decided: "forecast", "load", "backlog", "hold", "bound"
  int forecast = 0;       // replicas that pay one start-up time from now
  double price = 0;       // replica-seconds that an answer in time is worth just now
};

class SloPolicy {
 public:
  explicit SloPolicy(const SloConfig& config);

  // Goes on with other options; what was learned stays.
  void Configure(const SloConfig& config);

  // One tick. Replicas that are there at the first one count as wanted then: nothing is known that
  // would speak against them. Ticks within a second of each other are added up; the last decision
  // stands.
  SloDecision Tick(const SloInput& input);

  // What it has learned: mean service and start-up time.
  double service_s() const { return service_.mean_s(); }
  double startup_s() const { return startups_.mean_s(); }

 private:
  void Second(const SloInput& input, double arrivals, double completed);
  double price() const;
  void Price(double arrivals, double late);
  void Forecast();
  SloDecision Decide(const SloInput& input);
  double Backlog(const SloInput& input, double rate) const;
  int Hold(int wanted, bool idle);

  SloConfig config_;
  RateHistory rates_;
  ServiceTime service_;
  StartUps startups_;
  Lateness lateness_;
  SurgeMemory surges_;
  ShadowQueues shadows_;
  Forecaster forecaster_;
  HoldRules holds_;
  WantedLately wanted_;
  struct OpenSurge {
    std::int64_t due_s;
    double usual;
    double surge;
  };
  std::deque<OpenSurge> open_surges_;
  TimePoint last_{};
  bool begun_ = false;
  double arrivals_ = 0;  // since last_
  double completed_ = 0;
  double in_service_ = 0;  // as if there had been room for all
  double ratio_;           // of the price, see price()
  int forecast_ = 0;
  std::int64_t busy_s_ = 0;  // when there was a request last
  SloDecision decision_;
};

}  // namespace penstock::autoscale
