#include "proxy/http_connection.h"

#include <sys/epoll.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <utility>

#include "base/protocol.h"
#include "base/shared_slots.h"
#include "base/socket.h"
#include "proxy/server.h"

namespace penstock::proxy {
namespace {

// Bytes of a client that wait here beyond which it is no longer read from.
constexpr std::size_t kEnoughWaiting = 64 << 10;
// A piece of a reply that is worth a system call of its own rather than a copy.
constexpr std::size_t kWorthItsCall = 16 << 10;
constexpr Duration kLingerTime = std::chrono::seconds(2);

}  // namespace

HttpConnection::HttpConnection(Server& server, Transport socket)
    : server_(server),
      socket_(std::move(socket)),
      client_(base::PeerAddress(socket_.socket())),
      parser_(*this),
      call_(server, *this) {
  server_.loop().Watch(socket_.get(), EPOLLIN, *this);
  server_.OnIdle(*this);
}

HttpConnection::~HttpConnection() { Close(); }

void HttpConnection::Close() {
  if (!socket_) return;
  base::Loop& loop = server_.loop();
  loop.ForgetTurnEnd(*this);
  loop.Unwatch(socket_.get(), *this);
  if (linger_ != 0) loop.Cancel(linger_);
  StopWaiting();
  const bool whole = phase_ == Phase::kIdle || phase_ == Phase::kLingering;
  if (whole && written_ == out_.size()) socket_.SayGoodbye();
  socket_.Reset();
  call_.Drop();
  server_.Drop(*this);
}

// ---- receiving ----------------------------------------------------------------------------

void HttpConnection::OnEvents(std::uint32_t events) {
  if ((events & EPOLLOUT) != 0) Flush();
  if (socket_ && (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0) Receive();
}

void HttpConnection::Receive() {
  auto& scratch = server_.scratch();
  const auto n = socket_.Receive(scratch.data(), scratch.size());
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (n <= 0) {  // the client is gone, and with it whoever wanted the reply
    call_.NoteLeft();
    return Close();
  }
  const std::string_view bytes(scratch.data(), static_cast<std::size_t>(n));
  if (phase_ == Phase::kLingering) return;  // thrown away
  if (phase_ == Phase::kUpgraded) return FromWebSocket(bytes);
  const bool waits = call_.body_ended() || call_.websocket();
  const bool busy = phase_ != Phase::kIdle && waits;
  if (busy || !rest_.empty()) {
    rest_ += bytes;
    if (rest_.size() >= kEnoughWaiting) StopReading();
    return;
  }
  Parse(bytes);
}

void HttpConnection::Parse(std::string_view bytes) {
  parsing_ = true;
  while (!bytes.empty() && socket_) {
    const auto outcome = parser_.Feed(bytes);
    bytes.remove_prefix(std::min(outcome.consumed, bytes.size()));
    if (outcome.error_status != 0) {
      OnGarbage(outcome.error_status);
      break;
    }
    if (outcome.http2) {
      used_ ? OnGarbage(400) : BecomeHttp2(bytes);
      break;
    }
    if (!outcome.paused) continue;
    if (phase_ == Phase::kIdle) {  // answered already
      parser_.Resume();
    } else {
      rest_ = bytes;
      break;
    }
  }
  parsing_ = false;
  if (socket_ && phase_ == Phase::kIdle && parser_.in_message()) server_.OnHeadBegun(*this);
}

void HttpConnection::OnGarbage(int status) {
  if (phase_ == Phase::kLingering) return;
  if (phase_ == Phase::kBusy && call_.replying()) return Close();  // too late to say anything
  RefuseHead(Unreadable(status));
}

// Idle for too long, or a head that trickles.
void HttpConnection::OnImpatience() {
  if (!parser_.in_message()) return Close();
  RefuseHead(HeadTimedOut(server_.options().head_timeout));
}

// There is no request that could be answered, and none can follow.
void HttpConnection::RefuseHead(const SimpleReply& reply) {
  if (phase_ == Phase::kIdle) {
    server_.OnBusy(*this);
    phase_ = Phase::kBusy;
    reply_ = Reply{};
  }
  reply_.keep_alive = false;
  call_.BeginUnreadable(reply);
}

// The client began with the preface of HTTP/2: another kind of connection takes over.
void HttpConnection::BecomeHttp2(std::string_view rest) {
  StopWaiting();
  server_.loop().ForgetTurnEnd(*this);
  server_.loop().Unwatch(socket_.get(), *this);
  server_.OnHttp2(std::move(socket_), rest);
  server_.Drop(*this);
}

void HttpConnection::StopReading() {
  if (!std::exchange(reading_, false)) return;
  server_.loop().Rewatch(socket_.get(), EPOLLRDHUP | (want_write_ ? EPOLLOUT : 0u), *this);
}

void HttpConnection::StartReading() {
  if (std::exchange(reading_, true)) return;
  server_.loop().Rewatch(socket_.get(), EPOLLIN | (want_write_ ? EPOLLOUT : 0u), *this);
}

// ---- the request --------------------------------------------------------------------------

void HttpConnection::OnHead(const HttpHead& head) {
  server_.OnBusy(*this);
  used_ = true;
  phase_ = Phase::kBusy;
  reply_ = Reply{};
  reply_.head_request = head.method == "HEAD";
  reply_.http_1_0 = head.version == "1.0";
  reply_.keep_alive = head.keep_alive && !head.upgrade;
  call_.Begin(head);
  if (call_.websocket()) {
    for (const auto& [name, value] : head.headers) {
      if (name == "sec-websocket-key") reply_.websocket_key = value;
    }
  }
  if (!call_.receiving() || call_.refused()) return;
  if (head.expects_continue) {
    out_ += "HTTP/1.1 100 Continue\r\n\r\n";
    server_.loop().AtTurnEnd(*this);
  }
  if (head.chunked || head.content_length > base::kMaxSlot) call_.Forward();
}

void HttpConnection::OnBodyPiece(std::string_view piece) {
  if (phase_ == Phase::kBusy) call_.OnBodyPiece(piece);
}

void HttpConnection::OnEnd() {
  if (phase_ == Phase::kBusy) call_.OnBodyEnd();
}

// More than a window waiting for the replica stops the client.
void HttpConnection::OnBodyMoved(std::size_t) {
  if (call_.backlog() >= kEnoughWaiting) {
    StopReading();
  } else {
    StartReading();
  }
  if (phase_ == Phase::kUpgraded && websocket_->client_closed()) EndWebSocket();
}

// ---- the reply ----------------------------------------------------------------------------

ResponseContext HttpConnection::Context() const {
  return {.head_request = reply_.head_request,
          .http_1_0 = reply_.http_1_0,
          .keep_alive = reply_.keep_alive,
          .date = server_.Date(),
          .request_id = call_.id()};
}

void HttpConnection::OnReplyHead(const base::ReplyHead& head, std::optional<std::size_t> size) {
  if (call_.upgraded()) return Upgrade(head);
  // Whoever is answered before the body was read cannot go on to a next request.
  if (!call_.body_ended()) reply_.keep_alive = false;
  for (const auto& [name, value] : head.headers) {
    if (name != "content-length") continue;
    std::uint64_t length = 0;
    std::from_chars(value.data(), value.data() + value.size(), length);
    reply_.promised = length;
  }
  reply_.framing = AppendResponseHead(out_, head, size, Context());
  if (reply_.framing == Framing::kClose) reply_.keep_alive = false;
}

void HttpConnection::OnReplyBody(std::string_view piece, bool end) {
  if (websocket_) return ToWebSocket(piece, end, base::kWsNormal);
  server_.loop().AtTurnEnd(*this);
  WriteBody(piece);
  if (!end || !socket_) return;
  AppendBodyEnd(out_, reply_.framing);
  if (reply_.promised && reply_.framing == Framing::kLength && reply_.sent < *reply_.promised) {
    reply_.keep_alive = false;  // the client can tell only from the end of the connection
  }
  Complete();
}

void HttpConnection::WriteBody(std::string_view piece) {
  if (reply_.promised && reply_.framing == Framing::kLength) {
    // More than was announced would be read as the next reply.
    piece = piece.substr(0, static_cast<std::size_t>(std::min<std::uint64_t>(
                                piece.size(), *reply_.promised - reply_.sent)));
  }
  const bool as_it_is = reply_.framing == Framing::kLength || reply_.framing == Framing::kClose;
  if (as_it_is && piece.size() >= kWorthItsCall && !want_write_) {
    Transmit(piece);
  } else {
    AppendBody(out_, reply_.framing, piece);
  }
  reply_.sent += piece.size();
}

void HttpConnection::OnReplyBroken() {
  if (phase_ == Phase::kUpgraded) return ToWebSocket({}, /*end=*/true, base::kWsServerError);
  // The truth can no longer be told in words: a cut reply has no last chunk.
  Flush();
  Close();
}

void HttpConnection::Complete() {
  call_.Finish();
  if (!reply_.keep_alive) {
    phase_ = Phase::kLingering;
    close_after_flush_ = true;
    return;
  }
  NextRequest();
}

void HttpConnection::NextRequest() {
  phase_ = Phase::kIdle;
  server_.OnIdle(*this);
  StartReading();
  if (parsing_) return;  // Parse goes on by itself
  parser_.Resume();
  // At the end of the turn, so that a pipeline of requests does not become a deep recursion.
  if (!rest_.empty()) server_.loop().AtTurnEnd(*this);
}

// ---- WebSocket ----------------------------------------------------------------------------

void HttpConnection::Upgrade(const base::ReplyHead& head) {
  phase_ = Phase::kUpgraded;
  AppendUpgradeHead(out_, head, WebSocketAccept(reply_.websocket_key), Context());
  websocket_ = std::make_unique<WebSocket>(out_, call_.messages());
  if (!rest_.empty()) FromWebSocket(std::exchange(rest_, {}));
}

void HttpConnection::FromWebSocket(std::string_view bytes) {
  websocket_->FromClient(bytes);
  server_.loop().AtTurnEnd(*this);
  if (websocket_->client_closed()) call_.EndMessages();
  call_.Pump();
  if (websocket_->client_closed()) EndWebSocket();
}

// `code_at_end`: how to close when the replica ends without having closed.
void HttpConnection::ToWebSocket(std::string_view piece, bool end, std::uint16_t code_at_end) {
  if (phase_ != Phase::kUpgraded) return;  // closed already
  server_.loop().AtTurnEnd(*this);
  websocket_->FromReplica(piece);
  if (end && !websocket_->closed()) websocket_->Close(code_at_end);
  if (end || websocket_->closed()) EndWebSocket();
}

// Both sides have been told: what is left is to send it, and to wait for the client's answer.
void HttpConnection::EndWebSocket() {
  if (phase_ != Phase::kUpgraded) return;
  // The client's last messages first: the end of this connection cancels what is under way.
  if (websocket_->client_closed() && !call_.body_gone()) return;
  call_.SetStatus(websocket_->code());
  reply_.keep_alive = false;
  if (websocket_->client_closed()) call_.EndMessages();
  Complete();
}

// ---- sending ------------------------------------------------------------------------------

void HttpConnection::OnTurnEnd() {
  if (socket_ && phase_ == Phase::kIdle && !rest_.empty()) Parse(std::exchange(rest_, {}));
  if (socket_ && !want_write_) Flush();
}

// Hands what is queued and a large piece to the kernel, and queues what it does not take.
void HttpConnection::Transmit(std::string_view piece) {
  const std::string_view queued = std::string_view(out_).substr(written_);
  std::array<iovec, 2> parts{{{const_cast<char*>(queued.data()), queued.size()},
                              {const_cast<char*>(piece.data()), piece.size()}}};
  ssize_t n = 0;
  do {
    n = socket_.Send(parts);
  } while (n < 0 && errno == EINTR);
  if (n < 0 && errno != EAGAIN) return Close();
  const std::size_t sent = n < 0 ? 0 : static_cast<std::size_t>(n);
  written_ += std::min(sent, queued.size());
  out_ += piece.substr(sent - std::min(sent, queued.size()));
}

void HttpConnection::Flush() {
  while (written_ < out_.size()) {
    const auto n = socket_.Send(std::string_view(out_).substr(written_));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) {
      ForgetWritten();
      if (!std::exchange(want_write_, true)) {
        server_.loop().Rewatch(socket_.get(), EPOLLOUT | (reading_ ? EPOLLIN : EPOLLRDHUP), *this);
      }
      GrantCredit();
      return;
    }
    if (n < 0) return Close();
    written_ += static_cast<std::size_t>(n);
  }
  out_.clear();
  written_ = 0;
  if (std::exchange(want_write_, false)) {
    server_.loop().Rewatch(socket_.get(), reading_ ? EPOLLIN : EPOLLRDHUP, *this);
  }
  GrantCredit();
  if (close_after_flush_) Linger();
}

// To a client that is always a little behind, everything is never sent. Half at a time, so that a
// byte is moved once at most.
void HttpConnection::ForgetWritten() {
  if (written_ < kEnoughUnsent || written_ < out_.size() / 2) return;
  out_.erase(0, written_);
  written_ = 0;
}

void HttpConnection::GrantCredit() {
  if (out_.size() - written_ <= kEnoughUnsent) call_.Grant();
}

// A close with unread bytes resets the connection, and the client may lose the reply it is just
// reading. So: say that nothing more comes, and read what the client still sends, for a while.
void HttpConnection::Linger() {
  if (linger_ != 0) return;
  if (call_.body_ended() && rest_.empty()) return Close();
  socket_.EndSending();
  StartReading();
  linger_ = server_.loop().After(kLingerTime, [this] {
    linger_ = 0;
    Close();
  });
}

}  // namespace penstock::proxy
