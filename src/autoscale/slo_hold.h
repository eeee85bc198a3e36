// How long to keep a replica that is not needed now: the rule that would have cost least.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <vector>

#include "autoscale/slo_tail.h"

namespace penstock::autoscale {

// The largest of what was wanted lately, for any meaning of "lately" at once.
class WantedLately {
 public:
  void Note(std::int64_t now_s, int wanted);

  // The largest number wanted within `hold_s` before `now_s`; 0 without any.
  int Within(std::int64_t now_s, double hold_s) const;

 private:
  struct Layer {
    int upto;             // replicas up to this one, from the next layer's on
    std::int64_t last_s;  // were wanted last then
  };
  std::vector<Layer> layers_;  // fewer and later towards the end
};

// Tries rules (a price to size by, a time to hold) on what was forecast and what was needed,
// without acting: each has a cost in replicas and in requests that would have been late.
class HoldRules {
 public:
  struct Period {
    std::int64_t now_s = 0;
    Sizes wanted{};     // forecast now, for one start-up time later
    double needed = 0;  // slots that were needed in this period
    double service_s = 1;
    double price = 1;
    double startup_s = 30;
    double slots = 1;      // per replica
    bool settled = false;  // whether to judge already
  };

  // After this, price and hold are those of the rule that has cost least.
  void Step(const Period& period);

  std::size_t price() const { return price_; }
  double hold_s() const { return hold_s_; }

 private:
  static constexpr std::size_t kHolds = 5;  // 1/2, 1, 2, 4, 8 start-up times
  static double Hold(std::size_t index, double startup_s);
  double Judge(std::size_t price, std::size_t hold, const Period& period);

  std::array<WantedLately, kPrices> wanted_;
  std::array<std::array<std::deque<int>, kHolds>, kPrices> held_;  // over one start-up time
  std::array<std::array<double, kHolds>, kPrices> costs_{};
  std::size_t price_ = kPaidPrice;
  std::size_t hold_ = 2;
  double hold_s_ = 60;
  int judged_ = 0;
};

}  // namespace penstock::autoscale
