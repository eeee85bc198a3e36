// The load of a deployment over its look-back period: many samples become one number.
//
// Every reporter (a router, for what it queues; a router and replica, for what runs there) has a
// series of its own. A series is a step function that starts at 0 and keeps its last value; the
// load is the sum of the steps, averaged over time (behaviour specification, 5.2).
#pragma once

#include <map>
#include <string>
#include <vector>

#include "penstock/deployment.h"
#include "penstock/units.h"

namespace penstock::autoscale {

// Ray rounds timestamps to this, which merges samples that were meant to be simultaneous.
inline constexpr Duration kSampleStep = std::chrono::milliseconds(10);

class LoadWindow {
 public:
  // Notes that `series` has `value` from `at` on. Samples of one series come in order of time.
  void Add(const std::string& series, TimePoint at, double value);

  // Forgets a series: its reporter is gone or has fallen silent.
  void Drop(const std::string& series);

  // Forgets what ended more than `look_back` before `now`; a series keeps its last value.
  void Trim(TimePoint now, Duration look_back);

  // The aggregate over the window that ends at `now`; 0 without samples.
  double Total(TimePoint now, AutoscalingSpec::Aggregation aggregation) const;

  // Sum of the series' last values: the load at this moment.
  double Latest() const;

  // True without series.
  bool empty() const { return series_.empty(); }

 private:
  struct Sample {
    TimePoint at;
    double value;
  };
  struct Step {
    TimePoint at;
    double sum;  // over all series, from `at` on
  };
  std::vector<Step> Merge() const;
  TimePoint WindowStart(const std::vector<Step>& steps) const;

  std::map<std::string, std::vector<Sample>> series_;
};

}  // namespace penstock::autoscale
