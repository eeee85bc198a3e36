#include "autoscale/slo_plant.h"

#include <algorithm>
#include <cmath>

namespace penstock::autoscale {

void ServiceTime::Add(double running, double completed, double per_second) {
  constexpr double kLeast_s = 300;
  constexpr double kRequests = 500;
  constexpr double kMost_s = 86400;
  const double memory_s = std::clamp(kRequests / std::max(1e-9, per_second), kLeast_s, kMost_s);
  const double fade = 1 - 1 / memory_s;
  busy_ = busy_ * fade + running;
  ended_ = ended_ * fade + completed;
}

double ServiceTime::mean_s() const {
  constexpr double kShortest_s = 0.02;  // one that seconds can still tell from none
  return ended_ > 0 ? std::max(kShortest_s, busy_ / ended_) : 1.0;
}

StartUps::StartUps(std::optional<double> known_s)
    : mean_s_(known_s.value_or(30)), seen_(known_s ? 4 : 0) {}

void StartUps::Learn(double took_s) {
  constexpr double kMemory = 16;  // starts
  constexpr double kLongest_s = 3600;
  seen_ = std::min(seen_ + 1, kMemory);
  mean_s_ += (std::clamp(took_s, 1.0, kLongest_s) - mean_s_) / seen_;
}

void StartUps::Note(double now_s, int ready, int starting) {
  const int got_ready = std::min(std::max(0, ready - ready_), count_);
  int left = got_ready;
  while (left > 0 && !starting_.empty()) {
    Batch& oldest = starting_.front();
    const int taken = std::min(left, oldest.count);
    left -= taken;
    oldest.count -= taken;
    Learn(now_s - oldest.since_s);
    if (oldest.count == 0) starting_.erase(starting_.begin());
  }
  const int more = starting - (count_ - got_ready);
  if (more > 0) starting_.push_back({now_s, more});
  for (int given_up = -more; given_up > 0 && !starting_.empty();) {
    const int taken = std::min(given_up, starting_.back().count);
    given_up -= taken;
    starting_.back().count -= taken;
    if (starting_.back().count == 0) starting_.pop_back();
  }
  ready_ = ready;
  count_ = starting;
}

double StartUps::Credit(double now_s) const {
  double credit = 0;
  for (const Batch& batch : starting_) {
    credit += std::min(mean_s_, now_s - batch.since_s) * batch.count;
  }
  return credit;
}

double Lateness::Note(const RateHistory& rates, double queued, double objective_s) {
  const int allowed =
      std::clamp(static_cast<int>(std::ceil(objective_s)), 1, RateHistory::kSeconds);
  const double due = rates.Arrived(allowed);
  const double started = rates.Arrived(0) - queued;
  const double late = std::max(0.0, due - std::max(due_, started));
  due_ = due;
  return late;
}

void SurgeMemory::Learn(double surge, double later, double fade) {
  if (surge <= 0) return;
  product_ = product_ * fade + surge * std::min(surge, later);
  square_ = square_ * fade + surge * surge;
}

double SurgeMemory::Share(double usual) const {
  constexpr double kPrior = 10;  // surges of the size of the usual rate, all lasting
  const double prior = kPrior * std::max(usual, 0.1) * std::max(usual, 0.1);
  return std::clamp((product_ + prior) / (square_ + prior), 0.0, 1.0);
}

double CredibleRate(const RateHistory& rates) {
  double best = 0;
  for (const int window : {5, 10, 20, 40, 80}) {
    const double rate = rates.Rate(window);
    best = std::max(best, rate - std::sqrt(rate / window));
  }
  return best;
}

}  // namespace penstock::autoscale
