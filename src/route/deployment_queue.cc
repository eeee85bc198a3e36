#include "route/deployment_queue.h"

#include <algorithm>
#include <utility>

namespace penstock::route {
namespace {

Failure Backpressure(const DeploymentRoute& route, int queued) {
  return {.kind = Failure::Kind::kBackpressure,
          .message = "Request dropped due to backpressure (num_queued_requests=" +
                     std::to_string(queued) +
                     ", max_queued_requests=" + std::to_string(route.max_queued_requests) + ").",
          .queued = queued,
          .limit = route.max_queued_requests,
          .backpressure = route.backpressure};
}

Failure Unavailable(const DeploymentId& id) {
  return {.kind = Failure::Kind::kUnavailable,
          .message = id.ToString() + " is unavailable because it failed to deploy."};
}

}  // namespace

DeploymentQueue::DeploymentQueue(base::Loop& loop, base::Random& random, DeploymentId id)
    : loop_(loop), random_(random) {
  route_.id = std::move(id);
}

DeploymentQueue::~DeploymentQueue() { Close(); }

void DeploymentQueue::Apply(const DeploymentRoute& route) {
  known_ = true;
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
  OnLinkIdle();
  if (!route.available) {
    for (const auto& [sequence, exchange] : std::exchange(waiting_, {})) {
      Fail(exchange, Unavailable(route_.id));
    }
  }
  Pump();
}

std::shared_ptr<Exchange> DeploymentQueue::Start(std::string payload, bool end, ReplySink& sink) {
  auto exchange = std::make_shared<Exchange>(*this, std::move(payload), end, sink);
  exchange->sequence_ = next_sequence_++;
  if (known_ && !route_.available) {
    Fail(exchange, Unavailable(route_.id));
    return exchange;
  }
  if (waiting_.empty()) {
    if (const auto link = Choose()) {
      const bool first = links_[*link]->in_flight() == 0;
      links_[*link]->Send(exchange);
      if (first && watcher_) watcher_();
      return exchange;
    }
  }
  const int queued = static_cast<int>(waiting_.size());
  if (route_.max_queued_requests >= 0 && queued >= route_.max_queued_requests) {
    Fail(exchange, Backpressure(route_, queued));
    return exchange;
  }
  waiting_.emplace(exchange->sequence_, exchange);
  if (watcher_) watcher_();
  return exchange;
}

std::optional<std::size_t> DeploymentQueue::Choose() {
  candidates_.clear();
  for (const auto& link : links_) candidates_.push_back(link->Look(route_.max_ongoing_requests));
  return Pick(candidates_, random_.Next());
}

void DeploymentQueue::Pump() {
  // Sending cannot free a slot, so one pass is enough; a failing link pumps again by itself.
  if (std::exchange(pumping_, true)) return;
  while (!waiting_.empty()) {
    const auto link = Choose();
    if (!link) break;
    const auto exchange = waiting_.begin()->second;
    waiting_.erase(waiting_.begin());
    links_[*link]->Send(exchange);
  }
  pumping_ = false;
}

void DeploymentQueue::Requeue(std::shared_ptr<Exchange> exchange) {
  if (exchange->done()) return;
  exchange->link_ = nullptr;
  exchange->replica_.clear();
  const std::uint64_t sequence = exchange->sequence_;
  waiting_.emplace(sequence, std::move(exchange));
}

void DeploymentQueue::Forget(const Exchange& exchange) { waiting_.erase(exchange.sequence_); }

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
      if (link->in_flight() > 0) load.running[link->route().id] = static_cast<int>(link->in_flight());
    }
  }
  return load;
}

void DeploymentQueue::Close() {
  const Failure failure{.kind = Failure::Kind::kShutdown, .message = "The router is shutting down."};
  for (const auto& [sequence, exchange] : std::exchange(waiting_, {})) {
    exchange->queue_ = nullptr;
    Fail(exchange, failure);
  }
  links_.clear();
  leaving_.clear();
}

}  // namespace penstock::route
