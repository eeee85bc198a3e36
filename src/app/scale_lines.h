// The lines in which `penstock autoscale --stdio` is asked and answers.
#pragma once

#include <string>

#include "autoscale/slo.h"
#include "penstock/status.h"

namespace penstock::app {

class LineScaler {
 public:
  // From "CFG startup_s=60 max_ongoing=8 wait_slo_s=2 min=1 max=60", in any order. `learn_startup`:
  // startup_s is left out of account. kInvalidArgument naming what is missing or out of range.
  static Result<LineScaler> Open(const std::string& line, SloSpec objective, bool learn_startup);

  // From "t arrivals completed queued running ready starting target": the replicas to have.
  Result<int> Tick(const std::string& line);

 private:
  explicit LineScaler(const autoscale::SloConfig& config) : policy_(config) {}

  autoscale::SloPolicy policy_;
};

}  // namespace penstock::app
