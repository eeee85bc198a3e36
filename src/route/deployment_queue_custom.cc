// DeploymentQueue and the custom router: who is asked about, and what becomes of the answers.
#include <algorithm>
#include <iterator>
#include <utility>

#include "base/log.h"
#include "route/deployment_queue.h"

namespace penstock::route {
namespace {

// Ray Serve's bound for requests that are being decided about at once.
constexpr std::size_t kMostAtOnce = 50;

}  // namespace

// Another router, or another process of it: what was asked means nothing any more.
void DeploymentQueue::ForgetInquiries() {
  for (const auto& [sequence, exchange] : waiting_) exchange->inquiry_ = nullptr;
  ++custom_life_;
}

// Asks about those that came first and wait: about new ones, and again about those that nobody
// who was named could take.
void DeploymentQueue::Consult() {
  if (route_.router.kind != RequestRouterSpec::Kind::kCustom || waiting_.empty() || !known_) return;
  if (!custom_) {
    custom_ = std::make_unique<CustomRouter>(loop_, route_.router.socket, [this] {
      ForgetInquiries();
      Consult();
    });
  }
  const bool any_open = std::ranges::any_of(
      links_, [this](const auto& link) { return link->Look(route_.max_ongoing_requests).open; });
  // While nobody has room there is nothing to choose; the next free slot comes here again.
  if (!custom_->up() || !any_open) return;
  const std::size_t most = std::min({kMostAtOnce, 2 * links_.size(), waiting_.size()});
  TimePoint next = kNever;
  std::vector<std::shared_ptr<Exchange>> due;
  for (const auto& [sequence, exchange] : std::ranges::subrange(
           waiting_.begin(), std::next(waiting_.begin(), static_cast<std::ptrdiff_t>(most)))) {
    const auto& inquiry = exchange->inquiry_;
    if (!inquiry || (inquiry->told && inquiry->again <= loop_.Now())) {
      due.push_back(exchange);
    } else if (inquiry->told) {
      next = std::min(next, inquiry->again);
    }
  }
  for (const auto& exchange : due) Ask(exchange);
  if (ask_timer_ != 0) loop_.Cancel(std::exchange(ask_timer_, 0));
  if (next == kNever) return;
  ask_timer_ = loop_.At(next, [this] {
    ask_timer_ = 0;
    Consult();
  });
}

void DeploymentQueue::Ask(const std::shared_ptr<Exchange>& exchange) {
  const auto inquiry = std::make_shared<Inquiry>();
  exchange->inquiry_ = inquiry;
  ++exchange->inquiries_;
  CustomRouter::Question question{
      .request = exchange->sequence_, .node = node_, .near = exchange->near_};
  for (const auto& link : links_) {
    question.replicas.emplace_back(link->route().id, link->Look(route_.max_ongoing_requests));
  }
  if (exchange->known_in_ != custom_life_) {
    question.payload = exchange->payload_;
    question.rest = exchange->sink_->Unsent();
    exchange->known_in_ = custom_life_;
  }
  custom_->Ask(question,
               [this, inquiry](const Result<Ranking>& answer) { OnAnswer(inquiry, answer); });
}

void DeploymentQueue::OnAnswer(const std::shared_ptr<Inquiry>& inquiry,
                               const Result<Ranking>& answer) {
  const auto owner = std::ranges::find_if(
      waiting_, [&](const auto& waiting) { return waiting.second->inquiry_ == inquiry; });
  if (owner == waiting_.end()) return;  // cancelled, or of a life before
  const auto exchange = owner->second;
  if (!answer.ok()) {
    exchange->inquiry_ = nullptr;
    // It is asked again when the router's process is up again.
    if (answer.status().code() == Code::kUnavailable) return;
    SetStandsAside(*exchange, false);
    waiting_.erase(owner);
    base::LogError("request_router_failed",
                   {{"deployment", route_.id.ToString()}, {"why", answer.status().message()}});
    Fail(exchange, {.kind = Failure::Kind::kRouterFailed,
                    .message = "The request router of " + route_.id.ToString() +
                               " failed: " + answer.status().message()});
    return;
  }
  const RouterRoute& router = route_.router;
  inquiry->told = *answer;
  inquiry->again = loop_.Now() + BackoffAfter(exchange->inquiries_, router.initial_backoff_s,
                                              router.backoff_multiplier, router.max_backoff_s);
  if (custom_->fifo()) {
    // For whoever came first, of those for the same model; that one's own answer is the other's.
    const auto first = std::ranges::find_if(
        waiting_, [&](const auto& waiting) { return waiting.second->model_ == exchange->model_; });
    std::swap(first->second->inquiry_, exchange->inquiry_);
  }
  Pump();
}

void DeploymentQueue::TellEnd(Exchange& exchange) {
  if (custom_ && exchange.known_in_ == custom_life_) custom_->Ended(exchange.sequence_);
  exchange.known_in_ = 0;
}

}  // namespace penstock::route
