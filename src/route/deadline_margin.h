// How long before its deadline a request that waits is not worth beginning any more. Pure.
//
// Under overload a queue in order of arrival hands out requests that are about to time out: all
// time of the replicas goes into work that nobody gets. The margin grows by a fifth with each
// request that was begun and cut, and shrinks with each that was answered, so that about one begun
// request in fifty is cut. It needs to know nothing of service times, and is zero while none is
// cut.
#pragma once

#include "penstock/units.h"

namespace penstock::route {

class DeadlineMargin {
 public:
  // A request that had waited for a replica was begun, and cut by its deadline.
  void NoteCut();

  // One that had waited was answered in time.
  void NoteDone();

  // True when a request with `left` of its `budget` had better leave its place to another. Never
  // while half of its time is left.
  bool TooLate(Duration left, Duration budget) const;

 private:
  Duration margin_{};
};

}  // namespace penstock::route
