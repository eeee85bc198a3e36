// Those who may wait for a while, each for the same time: in order of time, so that one timer
// serves them all.
//
// Thread: the loop's.
#pragma once

#include <list>

#include "base/loop.h"
#include "penstock/units.h"

namespace penstock::proxy {

class Patience {
 public:
  // Waits in one Patience at most.
  class Waiter {
   public:
    Waiter() = default;
    virtual ~Waiter() { StopWaiting(); }
    Waiter(const Waiter&) = delete;
    Waiter& operator=(const Waiter&) = delete;

    // The time is over; it waits no more. May destroy any waiter.
    virtual void OnImpatience() = 0;

    // It need not wait any longer. Idempotent.
    void StopWaiting();

   private:
    friend class Patience;
    Patience* at_ = nullptr;
    TimePoint since_{};
    std::list<Waiter*> place_{this};  // its node, while it waits nowhere
    std::list<Waiter*>::iterator node_ = place_.begin();
  };

  // `patience`: how long each may wait.
  Patience(base::Loop& loop, Duration patience) : loop_(loop), patience_(patience) {}
  ~Patience();

  Patience(const Patience&) = delete;
  Patience& operator=(const Patience&) = delete;

  // `waiter` waits here from now on, and nowhere else. One that waits here already goes on.
  void Begin(Waiter& waiter);

  // The one that has waited longest waits no more: its OnImpatience is called. False when nobody
  // waits.
  bool HurryOldest();

 private:
  void Sweep();

  base::Loop& loop_;
  Duration patience_;
  std::list<Waiter*> waiting_;  // the one that has waited longest first
  base::Loop::TimerId timer_ = 0;
};

}  // namespace penstock::proxy
