#include "replica/call.h"

#include <algorithm>
#include <utility>

#include "base/protocol.h"
#include "penstock/check.h"
#include "replica/runtime.h"

namespace penstock::replica {

using base::FrameHead;
using base::FrameKind;

namespace {

// What a request's word on its size may make us reserve, in bytes.
constexpr std::size_t kMostReserved = std::size_t{64} << 20;

}  // namespace

Call::Call(Runtime& runtime, std::shared_ptr<base::Connection> connection, std::uint32_t stream,
           std::string payload, bool body_ended, TimePoint began)
    : runtime_(runtime),
      connection_(std::move(connection)),
      stream_(stream),
      payload_(std::move(payload)),
      body_ended_(body_ended),
      credit_(base::kBodyWindow),
      began_(began) {
  std::string_view body;
  PENSTOCK_CHECK(base::ParseRequestHead(payload_, head_, body));
  body_ = body;
}

std::string Call::TakeBody() {
  std::string body = std::exchange(body_, {});
  if (!collecting_) Credit(body.size());
  return body;
}

void Call::CollectBody(std::size_t size_hint) {
  if (std::exchange(collecting_, true)) return;
  body_.reserve(std::min(size_hint, kMostReserved));
  Credit(body_.size());
}

// Lets the router send as much again.
void Call::Credit(std::size_t bytes) {
  if (body_ended_ || bytes == 0 || cancelled_) return;
  connection_->Send({.kind = FrameKind::kCredit,
                     .stream = stream_,
                     .ongoing = static_cast<std::uint32_t>(runtime_.ongoing())},
                    base::EncodeCredit(static_cast<std::uint32_t>(bytes)));
}

void Call::Reply(const base::ReplyHead& head, std::string_view body, bool end, const Keep& keep) {
  std::string encoded;
  base::AppendReplyHead(encoded, head);
  status_ = head.status;
  SendFrames(FrameKind::kReply, encoded, body, end, false, keep);
}

void Call::Reply(std::string_view result, bool failure, const Keep& keep) {
  SendFrames(FrameKind::kReply, {}, result, true, failure, keep);
}

void Call::Send(std::string_view piece, bool end, bool failure, const Keep& keep) {
  SendFrames(FrameKind::kBody, {}, piece, end, failure, keep);
}

// One frame when it fits, else the first and its continuation as body frames. The last one of an
// ending reply carries the count of what runs without this call.
void Call::SendFrames(FrameKind first, std::string_view head, std::string_view body, bool end,
                      bool failure, const Keep& keep) {
  if (cancelled_ || finished_) return;
  const auto self = shared_from_this();
  replied_ = true;
  if (failure && failure_.empty()) failure_ = "Exception";
  credit_ -= static_cast<std::int64_t>(body.size());
  const std::size_t inline_limit =
      body.size() <= base::kInlineBody ? body.size() : base::kBodyPiece;
  FrameKind kind = first;
  std::string_view piece = body.substr(0, inline_limit);
  while (true) {
    body.remove_prefix(piece.size());
    const bool last = body.empty();
    // A piece that goes on in the next frame is told from one that ends here.
    std::uint8_t flags = last ? std::uint8_t{0} : base::kMore;
    if (last && end) flags = base::kEnd;
    if (failure) flags |= base::kFailure;
    const int ongoing = runtime_.ongoing() - (last && end ? 1 : 0);
    const FrameHead frame{.kind = kind,
                          .flags = flags,
                          .stream = stream_,
                          .ongoing = static_cast<std::uint32_t>(ongoing)};
    if (keep) {
      connection_->SendKept(frame, head, piece, keep);
    } else {
      connection_->Send(frame, head, piece);
    }
    if (last) break;
    head = {};
    kind = FrameKind::kBody;
    piece = body.substr(0, base::kBodyPiece);
  }
  if (end) Finish();
}

void Call::Finish() {
  if (std::exchange(finished_, true)) return;
  const auto self = shared_from_this();
  on_body_ = nullptr;
  on_writable_ = nullptr;
  runtime_.OnFinished(*this, connection_.get());
}

// Listeners are copied before they run: one that ends the call is dropped while it runs.
void Call::OnBody(std::string_view piece, bool end) {
  body_ += piece;
  body_ended_ = body_ended_ || end;
  if (collecting_ && !body_ended_) return Credit(piece.size());
  if (const auto listener = on_body_) listener();
}

void Call::OnCredit(std::uint32_t bytes) {
  const bool was_writable = writable();
  credit_ += bytes;
  if (was_writable || !writable()) return;
  if (const auto listener = on_writable_) listener();
}

void Call::OnCancel() {
  const auto self = shared_from_this();
  cancelled_ = true;
  body_ended_ = true;
  if (const auto listener = on_body_) listener();
  if (const auto listener = on_writable_) listener();
}

}  // namespace penstock::replica
