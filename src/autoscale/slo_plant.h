// What the waiting-time policy learns about the deployment itself: how long requests take, how
// long replicas take to start, how many requests waited too long, whether surges last.
#pragma once

#include <optional>
#include <vector>

#include "autoscale/slo_rates.h"

namespace penstock::autoscale {

// Mean service time by Little's law: request-seconds in service over requests that ended.
class ServiceTime {
 public:
  // One second. `per_second` is the usual rate: with fewer requests the memory is longer.
  void Add(double running, double completed, double per_second);

  double mean_s() const;

 private:
  double busy_ = 0;
  double ended_ = 0;
};

// Start-up time, from the counts of starting and ready replicas; those that start are of known age.
class StartUps {
 public:
  // `known_s`: what to believe until replicas have been seen to start.
  explicit StartUps(std::optional<double> known_s);

  // The counts at `now_s`. Replicas get ready oldest first, and are given up newest first.
  void Note(double now_s, int ready, int starting);

  double mean_s() const { return mean_s_; }

  // Replica-seconds that those starting now will have served within the next start-up time.
  double Credit(double now_s) const;

 private:
  struct Batch {
    double since_s;
    int count;
  };
  void Learn(double took_s);

  std::vector<Batch> starting_;  // oldest first
  double mean_s_;
  double seen_;
  int ready_ = 0;
  int count_ = 0;
};

// Which requests waited longer than the objective. The queue is first in, first out, so counts do.
class Lateness {
 public:
  // After `rates` noted a second at whose end `queued` wait: requests that became late in it.
  double Note(const RateHistory& rates, double queued, double objective_s);

 private:
  double due_ = 0;
};

// How much of a surge above the usual rate is still there when a replica ordered for it is up:
// 1 all, 0 nothing. A regression through the origin, fading.
class SurgeMemory {
 public:
  void Learn(double surge, double later, double fade);
  double Share(double usual) const;

 private:
  double product_ = 0;
  double square_ = 0;
};

// The rate that is there beyond doubt: the largest lower confidence bound over several windows. A
// great surge shows in seconds, a small one must last.
double CredibleRate(const RateHistory& rates);

}  // namespace penstock::autoscale
