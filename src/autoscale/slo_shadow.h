// How much capacity the requests of the last seconds needed: queues that might have been.
//
// A deployment that has room says nothing about how much less would have done. So many queues with
// a fixed number of slots each are kept beside the real one, fed with the same arrivals: the least
// one in which nobody waited too long is what was needed. They are fluid: a number in the system.
#pragma once

#include <array>
#include <cstddef>

namespace penstock::autoscale {

class ShadowQueues {
 public:
  struct Second {
    double arrivals = 0;
    double service_s = 1;
    double objective_s = 1;  // waiting that is allowed
    double startup_s = 30;   // a real queue is relieved after this long, so these are too
  };

  // `most`: the largest capacity there may ever be, in slots.
  explicit ShadowQueues(double most);

  void Add(const Second& second);

  // The capacity that was needed since the last call, in slots; 0 for none.
  double TakeNeed();

 private:
  static constexpr int kQueues = 96;  // 1 % to 10 % apart, from half a slot up
  double ratio_;
  std::array<double, kQueues> in_system_{};
  double need_ = 0;
};

}  // namespace penstock::autoscale
