#include "replica/call.h"

#include <algorithm>
#include <utility>

#include "base/protocol.h"
#include "penstock/check.h"
#include "replica/runtime.h"

namespace penstock::replica {

using base::FrameHead;
using base::FrameKind;

Call::Call(Runtime& runtime, std::shared_ptr<base::Connection> connection, const base::Frame& frame,
           TimePoint began)
    : runtime_(runtime),
      connection_(std::move(connection)),
      stream_(frame.head.stream),
      payload_(frame.payload),
      body_ended_((frame.head.flags & base::kEnd) != 0),
      credit_(base::kBodyWindow),
      began_(began) {
  std::string_view body;
  PENSTOCK_CHECK(base::ParseRequestHead(payload_, head_, body));
  body_ = frame.shared.empty() ? body : frame.shared;
}

bool Call::Adopt(TimePoint now) {
  std::string request = std::exchange(body_, {});
  base::RequestHead head;
  std::string_view body;
  if (!base::ParseRequestHead(request, head, body) || (head.flags & base::kHold) != 0) return false;
  payload_ = std::move(request);
  began_ = now;
  PENSTOCK_CHECK(base::ParseRequestHead(payload_, head_, body));
  body_ = body;
  collecting_ = false;
  on_body_ = nullptr;
  return true;
}

std::string Call::TakeBody() {
  std::string body = std::exchange(body_, {});
  if (!collecting_) Credit(body.size());
  return body;
}

void Call::CollectBody(BodySink sink) {
  if (std::exchange(collecting_, true)) return;
  Credit(body_.size());
  body_sink_ = std::move(sink);
  if (body_sink_) Collect(std::exchange(body_, {}));
}

void Call::Collect(std::string_view piece) {
  collected_ += piece.size();
  body_sink_(piece);
}

// Lets the router send as much again, once it is worth a frame.
void Call::Credit(std::size_t bytes) {
  owed_ += static_cast<std::uint32_t>(bytes);
  if (body_ended_ || owed_ < base::kCreditStep || cancelled_) return;
  connection_->Send({.kind = FrameKind::kCredit,
                     .stream = stream_,
                     .ongoing = static_cast<std::uint32_t>(runtime_.ongoing())},
                    base::EncodeCredit(std::exchange(owed_, 0)));
}

void Call::Reply(const base::ReplyHead& head, std::string_view body, bool end, const Keep& keep) {
  std::string encoded;
  status_ = head.status;
  const bool announced = std::ranges::any_of(
      head.headers, [](const auto& header) { return header.first == "content-length"; });
  if (end && body.size() > base::kBodyPiece && !announced) {  // it will not be there in one piece
    base::ReplyHead whole = head;
    const std::string size = std::to_string(body.size());
    whole.headers.emplace_back("content-length", size);
    base::AppendReplyHead(encoded, whole);
  } else {
    base::AppendReplyHead(encoded, head);
  }
  SendFrames(FrameKind::kReply, encoded, body, end, false, keep);
}

void Call::Reply(std::string_view result, bool failure, const Keep& keep) {
  SendFrames(FrameKind::kReply, {}, result, true, failure, keep);
}

void Call::Send(std::string_view piece, bool end, bool failure, const Keep& keep) {
  SendFrames(FrameKind::kBody, {}, piece, end, failure, keep);
}

// The call stops to count before its last frame leaves: the count in it is without this call.
void Call::SendFrames(FrameKind first, std::string_view head, std::string_view body, bool end,
                      bool failure, const Keep& keep) {
  if (cancelled_ || finished_) return;
  const auto self = shared_from_this();
  replied_ = true;
  if (failure && failure_.empty()) failure_ = "Exception";
  std::uint8_t flags = end ? base::kEnd : std::uint8_t{0};
  if (failure) flags |= base::kFailure;
  if (end) {
    finished_ = true;
    runtime_.OnAnswered(*this);
  }
  std::size_t sent = 0;
  if (unsent_.empty() && (credit_ > 0 || body.empty())) {
    sent = SendSome(first, head, body, flags, keep);
    if (sent == body.size()) return end ? Leave() : void();
  }
  body.remove_prefix(sent);
  unsent_.push_back({.own = keep ? std::string() : std::string(body),
                     .kept = keep ? body : std::string_view(),
                     .keep = keep,
                     .flags = flags});
}

// In as many frames as there is credit for. A first frame goes out with whatever fits it.
std::size_t Call::SendSome(FrameKind first, std::string_view head, std::string_view body,
                           std::uint8_t flags, const Keep& keep) {
  const std::size_t limit = connection_->piece_size();
  FrameKind kind = first;
  std::size_t sent = 0;
  do {
    const std::string_view piece = body.substr(sent, limit);
    sent += piece.size();
    const bool last = sent == body.size();
    const FrameHead frame{
        .kind = kind,
        // A piece that goes on in the next frame is told from one that ends here.
        .flags = static_cast<std::uint8_t>(last ? flags
                                                : base::kMore | (flags & base::kFailure) |
                                                      (finished_ ? base::kAnswered : 0)),
        .stream = stream_,
        .ongoing = static_cast<std::uint32_t>(runtime_.ongoing())};
    if (keep) {
      connection_->SendKept(frame, head, piece, keep);
    } else {
      connection_->Send(frame, head, piece);
    }
    credit_ -= static_cast<std::int64_t>(piece.size());
    head = {};
    kind = FrameKind::kBody;
  } while (sent < body.size() && credit_ > 0);
  return sent;
}

void Call::SendUnsent() {
  while (!unsent_.empty() && (credit_ > 0 || unsent_.front().bytes().empty())) {
    Piece& piece = unsent_.front();
    const std::string_view rest = piece.bytes();
    const std::size_t sent = SendSome(FrameKind::kBody, {}, rest, piece.flags, piece.keep);
    if (sent < rest.size()) {
      if (piece.keep) {
        piece.kept.remove_prefix(sent);
      } else {
        piece.own.erase(0, sent);
      }
      return;
    }
    const bool end = (piece.flags & base::kEnd) != 0;
    unsent_.pop_front();
    if (end) return Leave();
  }
}

void Call::Finish() {
  if (std::exchange(finished_, true)) return;
  runtime_.OnAnswered(*this);
  Leave();
}

// Nothing more will be sent or is awaited.
void Call::Leave() {
  const auto self = shared_from_this();
  on_body_ = nullptr;
  on_writable_ = nullptr;
  unsent_.clear();
  runtime_.OnGone(*this, connection_.get());
}

// Listeners are copied before they run: one that ends the call is dropped while it runs.
void Call::OnBody(std::string_view piece, bool end) {
  if (body_sink_) {
    Collect(piece);
  } else {
    body_ += piece;
  }
  body_ended_ = body_ended_ || end;
  if (collecting_ && !body_ended_) return Credit(piece.size());
  if (const auto listener = on_body_) listener();
}

void Call::OnCredit(std::uint32_t bytes) {
  const auto self = shared_from_this();
  const bool was_writable = writable();
  credit_ += bytes;
  SendUnsent();
  if (was_writable || !writable()) return;
  if (const auto listener = on_writable_) listener();
}

void Call::OnCancel() {
  const auto self = shared_from_this();
  cancelled_ = true;
  body_ended_ = true;
  if (finished_) return Leave();
  if (const auto listener = on_body_) listener();
  if (const auto listener = on_writable_) listener();
}

}  // namespace penstock::replica
