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
  const bool other_router = route_.router != route.router;
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
  AdoptReplicas();
  if (other_router) {
    ForgetInquiries();
    custom_.reset();
  }
  for (const auto& task : std::exchange(when_known_, {})) task();
  OnLinkIdle();
  OnNews();
  if (!route.available) {
    aside_ = 0;
    for (const auto& [sequence, exchange] : std::exchange(waiting_, {})) {
      Fail(exchange, Unavailable(route_.id));
    }
  }
  Pump();
  if (first) DropBeyondLimit();
}

void DeploymentQueue::AdoptReplicas() {
  std::vector<std::string> names;
  names.reserve(links_.size());
  for (const auto& link : links_) names.push_back(link->route().id);
  const RouterRoute& router = route_.router;
  policy_.Adopt(router.kind, router.num_virtual_nodes, router.num_fallback_replicas,
                std::move(names));
}

void DeploymentQueue::OnNews() {
  if (on_news_) on_news_();
}

std::vector<ReplicaView> DeploymentQueue::Replicas() const {
  std::vector<ReplicaView> views;
  for (const ReplicaRoute& replica : route_.replicas) {
    const auto link =
        std::ranges::find_if(links_, [&](const auto& one) { return one->route() == replica; });
    if (link == links_.end()) continue;
    views.push_back({replica, (*link)->alive(), (*link)->models(), (*link)->stats()});
  }
  return views;
}

// What came before the limit was known is held against it now; the latest have to go.
void DeploymentQueue::DropBeyondLimit() {
  const auto limit = route_.max_queued_requests;
  while (limit >= 0 && waiting_.size() > static_cast<std::size_t>(limit)) {
    const auto last = std::prev(waiting_.end());
    const auto exchange = last->second;
    SetStandsAside(*exchange, false);
    waiting_.erase(last);
    Fail(exchange, Backpressure(route_, limit));
  }
}

std::shared_ptr<Exchange> DeploymentQueue::Start(std::string payload, bool end, ReplySink& sink,
                                                 bool near, TimePoint deadline) {
  auto exchange = std::make_shared<Exchange>(*this, std::move(payload), end, sink);
  exchange->sequence_ = next_sequence_++;
  const base::RoutingKeys keys = base::ParseRoutingKeys(exchange->payload_);
  exchange->model_ = keys.multiplexed_model_id;
  exchange->point_ = keys.session_id.empty() ? random_.Next() : HashPoint(keys.session_id);
  exchange->near_ = near;
  exchange->deadline_ = deadline;
  exchange->patient_until_ = exchange->model_.empty() ? TimePoint{} : loop_.Now() + patience_;
  if (known_ && !route_.available) {
    Fail(exchange, Unavailable(route_.id));
    return exchange;
  }
  // Overtakes nobody but those who leave what is free to others.
  bool passes = false;
  if (waiting_.size() == aside_) {
    if (const auto link = Choose(*exchange)) {
      SendTo(*links_[*link], exchange);
      return exchange;
    }
    passes = AnyOpen();
  }
  const int queued = static_cast<int>(waiting_.size());
  if (route_.max_queued_requests >= 0 && queued >= route_.max_queued_requests) {
    Fail(exchange, Backpressure(route_, queued));
    return exchange;
  }
  if (deadline != kNever) {
    exchange->waited_ = true;
    exchange->arrived_ = loop_.Now();
  }
  waiting_.emplace(exchange->sequence_, exchange);
  if (passes) {
    SetStandsAside(*exchange, true);
    ArmPatience();
    Consult();
  }
  if (watcher_) watcher_();
  return exchange;
}

void DeploymentQueue::SendTo(ReplicaLink& link, const std::shared_ptr<Exchange>& exchange) {
  const bool first = link.in_flight() == 0;
  link.Send(exchange);
  if (custom_ && exchange->known_in_ == custom_life_)
    custom_->Routed(exchange->sequence_, link.route().id);
  if (first && watcher_) watcher_();
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
  exchange->sequence_ = next_sequence_++;
  SendTo(**link, exchange);
  return exchange;
}

void DeploymentQueue::WhenKnown(std::function<void()> task) {
  if (known_) return task();
  when_known_.push_back(std::move(task));
}

// Leaves in candidates_ what it chose from.
std::optional<std::size_t> DeploymentQueue::Choose(const Exchange& exchange) {
  // Code that keeps no models has nothing from getting the same id again.
  const bool models =
      !exchange.model_.empty() && std::ranges::any_of(links_, &ReplicaLink::keeps_models);
  Wish wish{
      .patient = IsPatient(exchange),
      .near = exchange.near_ && !node_.empty(),
      .point = exchange.point_,
      .told = exchange.inquiry_ && exchange.inquiry_->told ? &*exchange.inquiry_->told : nullptr};
  if (models) wish.model = exchange.model_;
  candidates_.clear();
  for (const auto& link : links_) {
    candidates_.push_back(models ? link->Look(route_.max_ongoing_requests, exchange.model_)
                                 : link->Look(route_.max_ongoing_requests));
    candidates_.back().near = wish.near && link->route().node == node_;
  }
  return policy_.Choose(candidates_, wish, random_.Next());
}

bool DeploymentQueue::IsPatient(const Exchange& exchange) const {
  using Kind = RequestRouterSpec::Kind;
  const Kind kind = route_.router.kind;
  const bool by_model = kind == Kind::kPowerOfTwoChoices || kind == Kind::kRoundRobin;
  return by_model && loop_.Now() < exchange.patient_until_;
}

// False while a custom router has not said where it may go.
bool DeploymentQueue::MayBeSent(const Exchange& exchange) const {
  return route_.router.kind != RequestRouterSpec::Kind::kCustom ||
         (exchange.inquiry_ && exchange.inquiry_->told);
}

bool DeploymentQueue::AnyOpen() const { return std::ranges::any_of(candidates_, &Candidate::open); }

void DeploymentQueue::SetStandsAside(Exchange& exchange, bool waits) {
  if (std::exchange(exchange.stands_aside_, waits) == waits) return;
  waits ? ++aside_ : --aside_;
}

// Looks again when the first of those that wait for their model has waited long enough. All wait
// equally long, so that is the one that came first.
void DeploymentQueue::ArmPatience() {
  if (patience_timer_ != 0 || aside_ == 0) return;
  const auto first = std::ranges::find_if(waiting_, [this](const auto& waiting) {
    return waiting.second->stands_aside_ && IsPatient(*waiting.second);
  });
  if (first == waiting_.end()) return;
  patience_timer_ = loop_.At(first->second->patient_until_, [this] {
    patience_timer_ = 0;
    Pump();
  });
}

void DeploymentQueue::Pump() {
  // Sending cannot free a slot, so one pass is enough; a failing link pumps again by itself.
  if (std::exchange(pumping_, true)) return;
  std::vector<std::shared_ptr<Exchange>> late;
  std::vector<std::string_view> full;  // models that the patient wait for, with what is open now
  for (auto next = waiting_.begin(); next != waiting_.end();) {
    const auto exchange = next->second;
    if (!MayBeSent(*exchange)) {
      SetStandsAside(*exchange, true);
      ++next;
      continue;
    }
    if (IsPatient(*exchange) && std::ranges::find(full, exchange->model_) != full.end()) {
      SetStandsAside(*exchange, true);
      ++next;
      continue;
    }
    const auto link = Choose(*exchange);
    if (link) {
      SetStandsAside(*exchange, false);
      const bool gives_way = GivesWay(*exchange);
      next = waiting_.erase(next);
      if (gives_way) {
        late.push_back(exchange);
      } else {
        SendTo(*links_[*link], exchange);
      }
      continue;
    }
    if (!AnyOpen()) break;
    if (IsPatient(*exchange)) full.push_back(exchange->model_);
    SetStandsAside(*exchange, true);
    ++next;
  }
  pumping_ = false;
  ArmPatience();
  Consult();
  for (const auto& exchange : late) Fail(exchange, {.kind = Failure::Kind::kTooLate});
}

// Only when somebody else has something from it.
bool DeploymentQueue::GivesWay(const Exchange& exchange) const {
  return exchange.waited_ && waiting_.size() > 1 &&
         margin_.TooLate(exchange.deadline_ - loop_.Now(), exchange.deadline_ - exchange.arrived_);
}

void DeploymentQueue::NoteDeadline(bool kept) { kept ? margin_.NoteDone() : margin_.NoteCut(); }

void DeploymentQueue::Requeue(std::shared_ptr<Exchange> exchange) {
  if (exchange->done()) return;
  exchange->link_ = nullptr;
  if (exchange->pinned_) return Fail(exchange, ReplicaGone(route_.id, exchange->replica_));
  exchange->replica_.clear();
  if (exchange->known_in_ != custom_life_) exchange->inquiry_ = nullptr;
  const std::uint64_t sequence = exchange->sequence_;
  waiting_.emplace(sequence, std::move(exchange));
}

void DeploymentQueue::Forget(Exchange& exchange) {
  SetStandsAside(exchange, false);
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
  Load load{.arrived = started(), .queued = static_cast<int>(waiting_.size())};
  for (const auto* links : {&links_, &leaving_}) {
    for (const auto& link : *links) {
      if (link->in_flight() > 0)
        load.running[link->route().id] = static_cast<int>(link->in_flight());
    }
  }
  return load;
}

void DeploymentQueue::Close() {
  for (auto* timer : {&patience_timer_, &ask_timer_}) {
    if (*timer != 0) loop_.Cancel(std::exchange(*timer, 0));
  }
  aside_ = 0;
  when_known_.clear();
  on_news_ = nullptr;
  const Failure failure{.kind = Failure::Kind::kShutdown,
                        .message = "The router is shutting down."};
  for (const auto& [sequence, exchange] : std::exchange(waiting_, {})) {
    exchange->queue_ = nullptr;
    Fail(exchange, failure);
  }
  links_.clear();
  leaving_.clear();
  custom_.reset();
}

}  // namespace penstock::route
