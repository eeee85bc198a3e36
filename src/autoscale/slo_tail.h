// The errors that one way to forecast has made, as a distribution, and the size that pays under it.
#pragma once

#include <array>
#include <cstddef>

namespace penstock::autoscale {

// How many prices a size is worked out for at once, in ratios of two around the price that is paid:
// 1/8, 1/4, 1/2, 1, 2.
inline constexpr int kPrices = 5;
inline constexpr int kPaidPrice = 3;
inline constexpr std::array<double, kPrices> kPriceRatios{0.125, 0.25, 0.5, 1, 2};
using Sizes = std::array<int, kPrices>;

// What a replica is, to those who choose how many.
struct SizeRules {
  double slots = 1;  // requests that one replica serves at a time
  int least = 1;     // replicas
  int most = 1;
};

class ErrorTail {
 public:
  // Starts as if errors had been seen that are spread like this, in the unit of Add.
  ErrorTail(double mean, double deviation);

  // Notes an error (what was needed less what was forecast, over the scale of the forecast); what
  // was noted before counts `fade` times as much from now on.
  void Add(double error, double fade);

  struct Question {
    double forecast = 0;   // slots
    double scale = 1;      // of an error of 1, in slots
    double price = 1;      // replica-seconds that an answer in time is worth
    double service_s = 1;  // mean service time
  };

  // The number of replicas that maximises
  //   price * (requests per second answered in time) - replicas,
  // where all are in time that arrive while capacity is at least the need, and none else: a queue
  // is first in, first out, so a shortage makes everybody late.
  Sizes Best(const Question& question, const SizeRules& rules) const;

 private:
  static constexpr int kBins = 200;  // of asinh(error), from -4 to 6
  std::array<double, kBins> bins_{};
  double unit_ =
      1;  // what an error weighs that is noted now: later ones weigh more, and none fades
  double total_ = 0;
};

}  // namespace penstock::autoscale
