#include "proxy/forwarding.h"

#include <algorithm>
#include <utility>

#include "base/protocol.h"
#include "proxy/server.h"
#include "route/deployment_queue.h"

namespace penstock::proxy {
namespace {

// Memory that a connection keeps for its next request, in bytes.
constexpr std::size_t kWorthKeeping = 4 << 10;

}  // namespace

void Forwarding::Reset() {
  if (!std::exchange(counted_, true)) server_.access_log().Begin(protocol_);
  stage_ = Stage::kReceiving;
  started_ = server_.loop().Now();
  for (std::string* text : {&id_, &method_, &route_, &payload_, &body_}) text->clear();
  queue_ = nullptr;
  timeout_s_.reset();
  outlives_client_ = false;
  quiet_ = false;
  owed_ = 0;
  credit_ = 0;
  body_ended_ = false;
  end_sent_ = false;
}

void Forwarding::Forward() {
  stage_ = Stage::kForwarded;
  if (body_ended_) payload_ += std::exchange(body_, {});
  end_sent_ = body_ended_;
  TimePoint deadline = kNever;
  if (timeout_s_) {
    deadline = server_.loop().Now() + FromSeconds(*timeout_s_);
    deadline_ = server_.loop().At(deadline, [this] {
      deadline_ = 0;
      if (exchange_) std::exchange(exchange_, nullptr)->Expire();
      OnDeadline();
    });
  }
  auto exchange = queue_->Start(std::exchange(payload_, {}), body_ended_, *this, false, deadline);
  // It may have failed at once, and its connection with it gone on to the next request.
  if (!exchange->done()) exchange_ = std::move(exchange);
}

void Forwarding::AddBody(std::string_view piece) {
  if (exchange_ && body_.empty() && piece.size() <= credit_) {
    credit_ -= static_cast<std::uint32_t>(piece.size());
    exchange_->SendBody(piece, /*end=*/false);  // straight on, without a copy
    return OnBodyMoved(piece.size());
  }
  body_ += piece;
  Pump();
}

void Forwarding::Pump() {
  if (!exchange_ || end_sent_) return;
  const std::size_t n = std::min<std::size_t>(body_.size(), credit_);
  const bool last = body_ended_ && n == body_.size() && credit_ > 0;
  if (n > 0 || last) {
    exchange_->SendBody(std::string_view(body_).substr(0, n), last);
    credit_ -= static_cast<std::uint32_t>(n);
    body_.erase(0, n);
    end_sent_ = last;
  }
  OnBodyMoved(n);
}

void Forwarding::OnCredit(std::uint32_t bytes) {
  credit_ += bytes;
  Pump();
}

void Forwarding::Grant() {
  if (owed_ < base::kCreditStep || !exchange_) return;
  exchange_->GrantCredit(std::exchange(owed_, 0));
}

void Forwarding::Cancel() {
  if (exchange_) std::exchange(exchange_, nullptr)->Cancel();
}

void Forwarding::Drop() {
  EndCounted();
  if (deadline_ != 0) server_.loop().Cancel(std::exchange(deadline_, 0));
  if (exchange_ && outlives_client_ && body_ended_) {
    std::exchange(exchange_, nullptr)->Abandon();
  } else {
    Cancel();
  }
}

void Forwarding::NoteLeft(int status, std::string_view status_name) {
  if (under_way()) Log(status, status_name);
}

void Forwarding::Finish(int status, std::string_view status_name) {
  stage_ = Stage::kOver;
  EndCounted();
  if (body_.capacity() > kWorthKeeping) body_ = std::string();
  if (deadline_ != 0) server_.loop().Cancel(std::exchange(deadline_, 0));
  Log(status, status_name);
}

void Forwarding::Log(int status, std::string_view status_name) {
  server_.access_log().Note({.protocol = protocol_,
                             .request_id = id_,
                             .method = method_,
                             .route = route_,
                             .status = status,
                             .status_name = status_name,
                             .latency = server_.loop().Now() - started_,
                             .deployment = queue_ == nullptr ? nullptr : &queue_->route().id,
                             .builtin = quiet_});
}

void Forwarding::EndCounted() {
  if (std::exchange(counted_, false)) server_.access_log().End(protocol_);
}

}  // namespace penstock::proxy
