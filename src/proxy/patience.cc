#include "proxy/patience.h"

namespace penstock::proxy {

void Patience::Waiter::StopWaiting() {
  if (at_ == nullptr) return;
  place_.splice(place_.end(), at_->waiting_, node_);
  at_ = nullptr;
}

Patience::~Patience() {
  while (!waiting_.empty()) waiting_.front()->StopWaiting();
  if (timer_ != 0) loop_.Cancel(timer_);
}

void Patience::Begin(Waiter& waiter) {
  if (waiter.at_ == this) return;
  waiter.StopWaiting();
  waiter.at_ = this;
  waiter.since_ = loop_.Now();
  waiting_.splice(waiting_.end(), waiter.place_, waiter.node_);
  if (timer_ == 0) timer_ = loop_.After(patience_, [this] { Sweep(); });
}

bool Patience::HurryOldest() {
  if (waiting_.empty()) return false;
  Waiter& longest = *waiting_.front();
  longest.StopWaiting();
  longest.OnImpatience();
  return true;
}

// The list is in order of time because the time is the same for each.
void Patience::Sweep() {
  timer_ = 0;
  while (!waiting_.empty()) {
    const TimePoint due = waiting_.front()->since_ + patience_;
    if (due > loop_.Now()) {
      timer_ = loop_.At(due, [this] { Sweep(); });
      return;
    }
    HurryOldest();
  }
}

}  // namespace penstock::proxy
