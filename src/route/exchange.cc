#include "route/exchange.h"

#include <utility>

#include "route/deployment_queue.h"
#include "route/replica_link.h"

namespace penstock::route {

Exchange::Exchange(DeploymentQueue& queue, std::string payload, bool end, ReplySink& sink)
    : queue_(&queue), payload_(std::move(payload)), end_(end), sink_(&sink) {}

ReplySink* Exchange::Finish() {
  link_ = nullptr;
  payload_.clear();
  return std::exchange(sink_, nullptr);
}

void Exchange::SendBody(std::string_view piece, bool end) {
  if (link_ != nullptr) link_->SendBody(stream_, piece, end);
}

void Exchange::GrantCredit(std::uint32_t bytes) {
  if (link_ != nullptr) link_->SendCredit(stream_, bytes);
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
