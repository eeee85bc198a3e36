#include "route/exchange.h"

#include <utility>

#include "route/deployment_queue.h"
#include "route/replica_link.h"

namespace penstock::route {
namespace {

// Takes a reply that nobody wants, so that the replica is not held up by it.
class Discard final : public ReplySink {
 public:
  explicit Discard(Exchange& exchange) : exchange_(exchange) {}
  void OnReply(std::string_view payload, std::uint8_t) override { Take(payload); }
  void OnBody(std::string_view piece, std::uint8_t) override { Take(piece); }
  void OnCredit(std::uint32_t) override {}
  void OnFailure(const Failure&) override {}

 private:
  void Take(std::string_view piece) {
    exchange_.GrantCredit(static_cast<std::uint32_t>(piece.size()));
  }
  Exchange& exchange_;  // owns this
};

}  // namespace

Exchange::Exchange(DeploymentQueue& queue, std::string payload, bool end, ReplySink& sink)
    : queue_(&queue), payload_(std::move(payload)), end_(end), sink_(&sink) {}

ReplySink* Exchange::Finish() {
  link_ = nullptr;
  inquiry_ = nullptr;
  if (queue_ != nullptr && known_in_ != 0) queue_->TellEnd(*this);
  payload_.clear();
  return std::exchange(sink_, nullptr);
}

void Exchange::SendBody(std::string_view piece, bool end) {
  if (link_ != nullptr) link_->SendBody(stream_, piece, end);
}

void Exchange::GrantCredit(std::uint32_t bytes) {
  if (link_ != nullptr) link_->SendCredit(stream_, bytes);
}

void Exchange::Abandon() {
  if (done()) return;
  discard_ = std::make_unique<Discard>(*this);
  sink_ = discard_.get();
}

void Exchange::Expire() {
  if (link_ != nullptr && waited_ && queue_ != nullptr) queue_->NoteDeadline(/*kept=*/false);
  Cancel();
}

void Exchange::Cancel() {
  if (done()) return;
  const auto self = shared_from_this();
  ReplicaLink* link = link_;
  Finish();
  if (link != nullptr) {
    link->Cancel(stream_);
  } else if (queue_ != nullptr) {
    queue_->Forget(*this);
  }
}

}  // namespace penstock::route
