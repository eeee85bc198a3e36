#include "control/scaling_simulation.h"

#include <algorithm>
#include <cmath>
#include <deque>
#include <queue>
#include <string>

#include "control/autoscaler.h"

namespace penstock::control {
namespace {

constexpr const char* kRouter = "simulation";

struct Server {
  int id = 0;
  double ready_s = 0;  // when it has started
  int busy = 0;
  bool ready = false;
};

struct End {
  double at_s;
  int server;
  bool operator>(const End& other) const { return at_s > other.at_s; }
};

class Simulation {
 public:
  Simulation(const ScalingTrial& trial, std::span<const SimulatedRequest> requests)
      : trial_(trial), requests_(requests), autoscaler_(nullptr, nullptr) {
    deployment_.id = {"simulation", "simulation"};
    deployment_.target.spec = trial.spec;
    deployment_.target_replicas =
        autoscale::InitialTarget(*trial.spec.autoscaling, trial.spec.autoscaling->min_replicas);
    sample_s_ = SamplePeriod(trial.spec);
    // As many as it begins with are there.
    for (int i = 0; i < deployment_.target_replicas; ++i) Order(-trial.startup_s);
  }

  ScalingOutcome Run(std::int64_t duration_s) {
    constexpr int kTicks = 10;  // kAutoscalePeriod, in a second
    for (std::int64_t second = 0; second < duration_s; ++second) {
      for (int tick = 1; tick <= kTicks; ++tick) {
        Advance(static_cast<double>(second) + static_cast<double>(tick) / kTicks);
      }
      Note();
    }
    for (const std::size_t request : queue_) {
      Began(request, static_cast<double>(duration_s));
    }
    return std::move(outcome_);
  }

 private:
  TimePoint Time() const { return TimePoint() + FromSeconds(1 + now_s_); }

  void Order(double at_s) {
    servers_.push_back({.id = next_++, .ready_s = at_s + trial_.startup_s});
    if (at_s >= 0) ++outcome_.starts;
  }

  void Advance(double to_s) {
    while (true) {
      double next_s = to_s;
      enum { kNothing, kReady, kEnd, kArrival } what = kNothing;
      const auto earlier = [&](double at_s, auto kind) {
        if (at_s >= next_s) return;
        next_s = at_s;
        what = kind;
      };
      for (const Server& server : servers_) {
        if (!server.ready) earlier(server.ready_s, kReady);
      }
      if (!ends_.empty()) earlier(ends_.top().at_s, kEnd);
      if (arrived_ < requests_.size()) earlier(requests_[arrived_].at_s, kArrival);
      outcome_.replica_seconds +=
          static_cast<double>(servers_.size() + leaving_.size()) * (next_s - now_s_);
      now_s_ = next_s;
      if (what == kNothing) break;
      if (what == kReady) MakeReady();
      if (what == kEnd) OnEnd();
      if (what == kArrival) queue_.push_back(arrived_++);
      Serve();
      Report(what == kArrival && ready_ == 0 && queue_.size() == 1);
    }
    MakeReady();
    Serve();
    if (now_s_ >= sample_due_s_) Report(true);
    Scale();
  }

  void MakeReady() {
    for (Server& server : servers_) {
      if (server.ready || server.ready_s > now_s_) continue;
      server.ready = true;
      ++ready_;
    }
  }

  void OnEnd() {
    const int id = ends_.top().server;
    ends_.pop();
    --running_;
    for (auto* group : {&servers_, &leaving_}) {
      const auto found = std::ranges::find(*group, id, &Server::id);
      if (found == group->end()) continue;
      --found->busy;
      if (group == &leaving_ && found->busy == 0) leaving_.erase(found);
      return;
    }
  }

  void Serve() {
    while (!queue_.empty()) {
      Server* best = nullptr;
      for (Server& server : servers_) {
        if (!server.ready || server.busy >= trial_.spec.max_ongoing_requests) continue;
        if (best == nullptr || server.busy < best->busy) best = &server;
      }
      if (best == nullptr) return;
      const std::size_t request = queue_.front();
      queue_.pop_front();
      ++best->busy;
      ++running_;
      ends_.push({now_s_ + requests_[request].service_s, best->id});
      Began(request, now_s_);
    }
  }

  void Began(std::size_t request, double at_s) {
    const double wait_s = at_s - requests_[request].at_s;
    if (outcome_.waits_s.size() <= request) outcome_.waits_s.resize(request + 1);
    outcome_.waits_s[request] = static_cast<float>(wait_s);
    longest_wait_s_ = std::max(longest_wait_s_, wait_s);
  }

  // As a router does: when load appears, each sample period, and once when it ended.
  void Report(bool due) {
    const bool idle = queue_.empty() && running_ == 0;
    if (!due && idle == idle_) return;
    if (idle && idle_) return;
    idle_ = idle;
    sample_due_s_ = now_s_ + sample_s_;
    LoadReport report{.router = kRouter,
                      .deployment = deployment_.id,
                      .arrived = arrived_,
                      .queued = static_cast<double>(queue_.size())};
    // Who runs it is all the same to a policy, but the series of a replica ends with it.
    if (running_ > 0) report.running[kRouter] = running_;
    autoscaler_.Note(report, Time());
  }

  void Scale() {
    // For the autoscaler: one replica that carries all load, and the count of those in service.
    deployment_.replicas.resize(static_cast<std::size_t>(std::max(1, ready_)));
    for (Replica& replica : deployment_.replicas) {
      replica.state = ready_ > 0 ? ReplicaState::kRunning : ReplicaState::kStarting;
    }
    deployment_.replicas.front().unique = kRouter;
    autoscaler_.Tick(deployment_, Time(), now_s_);
    const int gang = trial_.spec.gang ? trial_.spec.gang->gang_size : 1;
    const int target = deployment_.target_replicas / gang * gang;
    while (static_cast<int>(servers_.size()) < target) Order(now_s_);
    while (static_cast<int>(servers_.size()) > target) Leave();
  }

  void Leave() {
    // The newest of those that start, else the least busy.
    auto worst = servers_.end();
    for (auto it = servers_.begin(); it != servers_.end(); ++it) {
      if (worst == servers_.end() || (!it->ready && (worst->ready || it->id > worst->id)) ||
          (it->ready && worst->ready && it->busy <= worst->busy)) {
        worst = it;
      }
    }
    if (worst->ready) --ready_;
    if (worst->busy > 0) leaving_.push_back(*worst);
    servers_.erase(worst);
  }

  void Note() {
    outcome_.seconds.push_back({.target = deployment_.target_replicas,
                                .ready = ready_,
                                .starting = static_cast<int>(servers_.size()) - ready_,
                                .queued = static_cast<double>(queue_.size()),
                                .running = static_cast<double>(running_),
                                .longest_wait_s = std::exchange(longest_wait_s_, 0)});
  }

  const ScalingTrial& trial_;
  std::span<const SimulatedRequest> requests_;
  Autoscaler autoscaler_;
  Deployment deployment_;
  ScalingOutcome outcome_;
  double sample_s_ = 1;
  double sample_due_s_ = 0;
  double now_s_ = 0;
  std::vector<Server> servers_;  // ordered and not leaving, the oldest first
  std::vector<Server> leaving_;
  int ready_ = 0;
  int running_ = 0;
  int next_ = 0;
  bool idle_ = true;
  std::size_t arrived_ = 0;  // of requests_
  std::deque<std::size_t> queue_;
  std::priority_queue<End, std::vector<End>, std::greater<>> ends_;
  double longest_wait_s_ = 0;
};

}  // namespace

Result<ScalingOutcome> SimulateScaling(const ScalingTrial& trial,
                                       std::span<const SimulatedRequest> requests,
                                       std::int64_t duration_s) {
  if (trial.spec.autoscaling->policy) {
    return InvalidArgument("autoscaling_config.policy: '" +
                           trial.spec.autoscaling->policy->policy_function +
                           "' is code in a process of its own and cannot be simulated; allowed are "
                           "the default policy and '" +
                           kSloPolicy + "'");
  }
  return Simulation(trial, requests).Run(duration_s);
}

}  // namespace penstock::control
