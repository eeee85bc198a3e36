#include "route/deployment_queue.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "base/heads.h"

namespace penstock::route {
namespace {

Failure Backpressure(const DeploymentRoute& route, int queued) {
  return {.kind = Failure::Kind::kBackpressure,
          .message =
              "Request dropped due to backpressure (num_queued_requests=" + std::to_string(queued) +
              ", max_queued_requests=" + std::to_string(route.max_queued_requests) + ").",
          .queued = queued,
          .limit = route.max_queued_requests,
          .backpressure = route.backpressure};
}

Failure Unavailable(const DeploymentId& id) {
  return {.kind = Failure::Kind::kUnavailable,
          .message = id.ToString() + " is unavailable because it failed to deploy."};
}

Failure ReplicaGone(const DeploymentId& id, const std::string& replica) {
  return {.kind = Failure::Kind::kReplicaGone,
          .message = "Replica(id='" + replica + "', deployment='" + id.name + "', app='" + id.app +
                     "') is not available."};
}

}  // namespace

DeploymentQueue::DeploymentQueue(base::Loop& loop, base::Random& random, DeploymentId id)
    : loop_(loop), random_(random) {
  route_.id = std::move(id);
}

DeploymentQueue::~DeploymentQueue() { Close(); }

void DeploymentQueue::Apply(const DeploymentRoute& route) {
  const bool first = !std::exchange(known_, true);
  route_ = route;
  for (auto& link : std::exchange(links_, {})) {
    const bool stays = std::find(route.replicas.begin(), route.replicas.end(), link->route()) !=
                       route.replicas.end();
    if (!stays) link->Leave();
    (stays ? links_ : leaving_).push_back(std::move(link));
  }
  for (const ReplicaRoute& replica : route.replicas) {
    const bool have = std::any_of(links_.begin(), links_.end(),
                                  [&](const auto& link) { return link->route() == replica; });
    if (!have) links_.push_back(std::make_unique<ReplicaLink>(loop_, replica, *this));
  }
  for (const auto& task : std::exchange(when_known_, {})) task();
  OnLinkIdle();
  if (!route.available) {
    wait_for_model_ = 0;
    for (const auto& [sequence, exchange] : std::exchange(waiting_, {})) {
      Fail(exchange, Unavailable(route_.id));
    }
  }
  Pump();
  if (first) DropBeyondLimit();
}

// What came before the limit was known is held against it now; the latest have to go.
void DeploymentQueue::DropBeyondLimit() {
  const auto limit = route_.max_queued_requests;
  while (limit >= 0 && waiting_.size() > static_cast<std::size_t>(limit)) {
    const auto last = std::prev(waiting_.end());
    const auto exchange = last->second;
    SetWaitsForModel(*exchange, false);
    waiting_.erase(last);
    Fail(exchange, Backpressure(route_, limit));
  }
}

std::shared_ptr<Exchange> DeploymentQueue::Start(std::string payload, bool end, ReplySink& sink) {
  auto exchange = std::make_shared<Exchange>(*this, std::move(payload), end, sink);
  exchange->sequence_ = next_sequence_++;
  exchange->model_ = base::ParseModelId(exchange->payload_);
  exchange->patient_until_ = exchange->model_.empty() ? TimePoint{} : loop_.Now() + patience_;
  if (known_ && !route_.available) {
    Fail(exchange, Unavailable(route_.id));
    return exchange;
  }
  // Overtakes nobody but those who leave what is free to others.
  bool passes = false;
  if (waiting_.size() == wait_for_model_) {
    if (const auto link = Choose(*exchange)) {
      const bool first = links_[*link]->in_flight() == 0;
      links_[*link]->Send(exchange);
      if (first && watcher_) watcher_();
      return exchange;
    }
    passes = AnyOpen();
  }
  const int queued = static_cast<int>(waiting_.size());
  if (route_.max_queued_requests >= 0 && queued >= route_.max_queued_requests) {
    Fail(exchange, Backpressure(route_, queued));
    return exchange;
  }
  waiting_.emplace(exchange->sequence_, exchange);
  if (passes) {
    SetWaitsForModel(*exchange, true);
    ArmPatience();
  }
  if (watcher_) watcher_();
  return exchange;
}

std::shared_ptr<Exchange> DeploymentQueue::StartAt(const std::string& replica, std::string payload,
                                                   bool end, ReplySink& sink) {
  auto exchange = std::make_shared<Exchange>(*this, std::move(payload), end, sink);
  exchange->pinned_ = true;
  const auto link = std::ranges::find_if(
      links_, [&](const auto& one) { return one->route().id == replica && one->alive(); });
  if (link == links_.end()) {
    Fail(exchange, ReplicaGone(route_.id, replica));
    return exchange;
  }
  const bool first = (*link)->in_flight() == 0;
  (*link)->Send(exchange);
  if (first && watcher_) watcher_();
  return exchange;
}

void DeploymentQueue::WhenKnown(std::function<void()> task) {
  if (known_) return task();
  when_known_.push_back(std::move(task));
}

// Leaves in candidates_ what it chose from.
std::optional<std::size_t> DeploymentQueue::Choose(const Exchange& exchange) {
  candidates_.clear();
  if (exchange.model_.empty()) {
    for (const auto& link : links_) candidates_.push_back(link->Look(route_.max_ongoing_requests));
    return Pick(candidates_, random_.Next());
  }
  for (const auto& link : links_) {
    candidates_.push_back(link->Look(route_.max_ongoing_requests, exchange.model_));
  }
  // Code that keeps no models has nothing from getting the same id again.
  if (!std::ranges::any_of(links_, &ReplicaLink::keeps_models)) {
    return Pick(candidates_, random_.Next());
  }
  return PickForModel(candidates_, IsPatient(exchange), random_.Next());
}

bool DeploymentQueue::IsPatient(const Exchange& exchange) const {
  return loop_.Now() < exchange.patient_until_;
}

bool DeploymentQueue::AnyOpen() const { return std::ranges::any_of(candidates_, &Candidate::open); }

void DeploymentQueue::SetWaitsForModel(Exchange& exchange, bool waits) {
  if (std::exchange(exchange.waits_for_model_, waits) == waits) return;
  waits ? ++wait_for_model_ : --wait_for_model_;
}

// Looks again when the first of those that wait for their model has waited long enough. All wait
// equally long, so that is the one that came first.
void DeploymentQueue::ArmPatience() {
  if (patience_timer_ != 0 || wait_for_model_ == 0) return;
  const auto first = std::ranges::find_if(
      waiting_, [](const auto& waiting) { return waiting.second->waits_for_model_; });
  patience_timer_ = loop_.At(first->second->patient_until_, [this] {
    patience_timer_ = 0;
    Pump();
  });
}

void DeploymentQueue::Pump() {
  // Sending cannot free a slot, so one pass is enough; a failing link pumps again by itself.
  if (std::exchange(pumping_, true)) return;
  std::vector<std::string_view> full;  // models that the patient wait for, with what is open now
  for (auto next = waiting_.begin(); next != waiting_.end();) {
    const auto exchange = next->second;
    if (IsPatient(*exchange) && std::ranges::find(full, exchange->model_) != full.end()) {
      SetWaitsForModel(*exchange, true);
      ++next;
      continue;
    }
    const auto link = Choose(*exchange);
    if (link) {
      SetWaitsForModel(*exchange, false);
      next = waiting_.erase(next);
      links_[*link]->Send(exchange);
      continue;
    }
    if (!AnyOpen()) break;
    full.push_back(exchange->model_);
    SetWaitsForModel(*exchange, true);
    ++next;
  }
  pumping_ = false;
  ArmPatience();
}

void DeploymentQueue::Requeue(std::shared_ptr<Exchange> exchange) {
  if (exchange->done()) return;
  exchange->link_ = nullptr;
  if (exchange->pinned_) return Fail(exchange, ReplicaGone(route_.id, exchange->replica_));
  exchange->replica_.clear();
  const std::uint64_t sequence = exchange->sequence_;
  waiting_.emplace(sequence, std::move(exchange));
}

void DeploymentQueue::Forget(Exchange& exchange) {
  SetWaitsForModel(exchange, false);
  waiting_.erase(exchange.sequence_);
}

void DeploymentQueue::Fail(const std::shared_ptr<Exchange>& exchange, const Failure& failure) {
  if (ReplySink* sink = exchange->Finish()) sink->OnFailure(failure);
}

// Deferred: it is called from inside the link that may have to go.
void DeploymentQueue::OnLinkIdle() {
  if (!leaving_.empty()) DropLeft();
}

void DeploymentQueue::DropLeft() {
  for (auto& link : leaving_) {
    if (link->in_flight() == 0) loop_.Dispose(std::shared_ptr<ReplicaLink>(std::move(link)));
  }
  std::erase(leaving_, nullptr);
}

Load DeploymentQueue::Sample() const {
  Load load{.queued = static_cast<int>(waiting_.size())};
  for (const auto* links : {&links_, &leaving_}) {
    for (const auto& link : *links) {
      if (link->in_flight() > 0)
        load.running[link->route().id] = static_cast<int>(link->in_flight());
    }
  }
  return load;
}

void DeploymentQueue::Close() {
  if (patience_timer_ != 0) loop_.Cancel(std::exchange(patience_timer_, 0));
  wait_for_model_ = 0;
  when_known_.clear();
  const Failure failure{.kind = Failure::Kind::kShutdown,
                        .message = "The router is shutting down."};
  for (const auto& [sequence, exchange] : std::exchange(waiting_, {})) {
    exchange->queue_ = nullptr;
    Fail(exchange, failure);
  }
  links_.clear();
  leaving_.clear();
}

}  // namespace penstock::route
