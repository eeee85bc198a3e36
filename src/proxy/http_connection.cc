#include "proxy/http_connection.h"

#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <utility>

#include "base/protocol.h"
#include "base/socket.h"
#include "proxy/server.h"

namespace penstock::proxy {
namespace {

// Unsent bytes of replies beyond which the replica is asked to wait.
constexpr std::size_t kEnoughUnsent = 64 << 10;
// A body up to this size is read to its end even when nobody wants it: the connection lives on.
constexpr std::uint64_t kWorthReading = 1 << 20;
// A piece of a reply that is worth a system call of its own rather than a copy.
constexpr std::size_t kWorthItsCall = 16 << 10;
constexpr Duration kLingerTime = std::chrono::seconds(2);

bool IsModelIdHeader(std::string_view name) {
  // Ray Serve takes hyphens and underscores alike.
  constexpr std::string_view kName = "serve_multiplexed_model_id";
  if (name.size() != kName.size() || name[0] != 's') return false;
  return std::equal(name.begin(), name.end(), kName.begin(),
                    [](char a, char b) { return (a == '-' ? '_' : a) == b; });
}

}  // namespace

HttpConnection::HttpConnection(Server& server, base::UniqueFd socket)
    : server_(server),
      socket_(std::move(socket)),
      client_(base::PeerAddress(socket_)),
      parser_(*this) {
  server_.loop().Watch(socket_.get(), EPOLLIN, *this);
  server_.OnIdle(*this);
}

HttpConnection::~HttpConnection() { Close(); }

void HttpConnection::Close() {
  if (!socket_) return;
  base::Loop& loop = server_.loop();
  loop.ForgetTurnEnd(*this);
  loop.Unwatch(socket_.get(), *this);
  if (request_.deadline != 0) loop.Cancel(request_.deadline);
  if (linger_ != 0) loop.Cancel(linger_);
  socket_.Reset();
  const bool goes_on = request_.outlives_client && request_.body_ended;
  if (exchange_ && goes_on) {
    std::exchange(exchange_, nullptr)->Abandon();
  } else if (exchange_) {
    std::exchange(exchange_, nullptr)->Cancel();
  }
  server_.Drop(*this);
}

// ---- receiving ----------------------------------------------------------------------------

void HttpConnection::OnEvents(std::uint32_t events) {
  if ((events & EPOLLOUT) != 0) Flush();
  if (socket_ && (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0) Receive();
}

void HttpConnection::Receive() {
  auto& scratch = server_.scratch();
  const auto n = ::recv(socket_.get(), scratch.data(), scratch.size(), 0);
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (n <= 0) {  // the client is gone, and with it whoever wanted the reply
    if (phase_ == Phase::kForwarded || phase_ == Phase::kReplying || phase_ == Phase::kUpgraded) {
      request_.status = phase_ == Phase::kUpgraded ? base::kWsAbnormal : 499;
      Note();
    }
    return Close();
  }
  const std::string_view bytes(scratch.data(), static_cast<std::size_t>(n));
  if (phase_ == Phase::kLingering) return;  // thrown away
  if (phase_ == Phase::kUpgraded) return FromWebSocket(bytes);
  const bool waits = request_.body_ended || !request_.websocket_key.empty();
  const bool busy = phase_ != Phase::kIdle && waits;
  if (busy || !rest_.empty()) {
    rest_ += bytes;
    if (rest_.size() >= base::kInlineBody) StopReading();
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
    if (!outcome.paused) continue;
    if (phase_ == Phase::kIdle) {  // answered already
      parser_.Resume();
    } else {
      rest_ = bytes;
      break;
    }
  }
  parsing_ = false;
}

void HttpConnection::OnGarbage(int status) {
  if (phase_ == Phase::kLingering) return;
  if (phase_ == Phase::kReplying) return Close();  // too late to say anything
  if (phase_ == Phase::kIdle) {
    server_.OnBusy(*this);
    request_ = Request{};
    request_.started = server_.loop().Now();
    request_.method = "-";
    request_.route = "-";
  }
  if (exchange_) std::exchange(exchange_, nullptr)->Cancel();
  request_.keep_alive = false;
  Answer({status, std::string(kPlainText), "Invalid HTTP request received.", ""});
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
  phase_ = Phase::kReceiving;
  request_ = Request{};
  request_.started = server_.loop().Now();
  request_.method = head.method;
  request_.head_request = head.method == "HEAD";
  request_.http_1_0 = head.version == "1.0";
  request_.keep_alive = head.keep_alive;
  ReadControls(head);
  if (head.content_length > server_.options().max_body_bytes) {
    return Refuse(TooLarge(server_.options().max_body_bytes));
  }
  Route(head);
  const bool large = head.chunked || head.content_length > base::kInlineBody;
  if (request_.own_reply) {
    const bool worth_reading = !head.chunked && head.content_length <= kWorthReading;
    if (!worth_reading) Refuse(*std::exchange(request_.own_reply, {}));
    return;
  }
  if (head.expects_continue) {
    out_ += "HTTP/1.1 100 Continue\r\n\r\n";
    server_.loop().AtTurnEnd(*this);
  }
  if (large) Forward(/*end=*/false);
}

// Headers by which a client says how its request is to be treated (specification, 6.3).
void HttpConnection::ReadControls(const HttpHead& head) {
  request_.timeout_s = server_.options().request_timeout_s;
  for (const auto& [name, value] : head.headers) {
    if (!name.starts_with("x-request-")) continue;
    if (name == "x-request-id") {
      request_.id = value;
    } else if (name == "x-request-timeout-seconds") {
      double seconds = 0;
      const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), seconds);
      if (error == std::errc() && end == value.data() + value.size()) request_.timeout_s = seconds;
    } else if (name == "x-request-disconnect-disabled") {
      request_.outlives_client = value == "?1";
    }
  }
  if (request_.timeout_s && !(*request_.timeout_s > 0)) request_.timeout_s.reset();
  if (request_.id.empty()) request_.id = server_.random().Uuid();
}

void HttpConnection::Route(const HttpHead& head) {
  std::string path = DecodedPath(head.target);
  if (head.upgrade) {
    request_.keep_alive = false;
    if (!IsWebSocketRequest(head)) {
      request_.route = path;
      request_.own_reply = SimpleReply{501, std::string(kPlainText),
                                       "Upgrades other than to a WebSocket are not supported.", ""};
      return;
    }
    request_.method = "WS";
    for (const auto& [name, value] : head.headers) {
      if (name == "sec-websocket-key") request_.websocket_key = value;
    }
  }
  request_.own_reply = BuiltinReply(path, server_.router());
  if (request_.own_reply) {
    request_.route = path;
    return;
  }
  std::string_view own = path;
  const std::string& root_path = server_.options().root_path;
  if (!root_path.empty() && own.starts_with(root_path)) own.remove_prefix(root_path.size());
  const route::HttpRoute* route = server_.router().Match(own);
  if (route == nullptr) {
    request_.route = path;
    request_.own_reply = server_.router().informed() ? NotFound(path) : NotInformed();
    return;
  }
  request_.route = route->prefix;
  request_.queue = &server_.router().Queue(route->ingress);
  EncodeHead(head, route->prefix, route->ingress.app);
}

void HttpConnection::EncodeHead(const HttpHead& head, std::string_view prefix,
                                const std::string& app) {
  base::RequestHead& out = server_.head();
  const std::string root_path =
      server_.options().root_path + (prefix == "/" ? std::string() : std::string(prefix));
  out.kind = request_.websocket_key.empty() ? base::CallKind::kHttp : base::CallKind::kWebSocket;
  out.flags = 0;
  out.request_id = request_.id;
  out.app = app;
  out.route = prefix;
  out.root_path = root_path;
  out.multiplexed_model_id = {};
  out.method = head.method;
  out.target = head.target;
  out.http_version = head.version;
  out.client = client_;
  out.server = server_.address();
  out.headers.assign(head.headers.begin(), head.headers.end());
  bool has_id = false;
  for (const auto& [name, value] : head.headers) {
    has_id = has_id || name == "x-request-id";
    if (IsModelIdHeader(name)) out.multiplexed_model_id = value;
  }
  if (!has_id) out.headers.emplace_back("x-request-id", request_.id);
  base::AppendRequestHead(request_.payload, out);
}

void HttpConnection::OnBodyPiece(std::string_view piece) {
  if (phase_ == Phase::kLingering || phase_ == Phase::kIdle) return;
  request_.received += piece.size();
  if (request_.received > server_.options().max_body_bytes) {
    if (phase_ == Phase::kReplying) return Close();
    if (exchange_) std::exchange(exchange_, nullptr)->Cancel();
    return Refuse(TooLarge(server_.options().max_body_bytes));
  }
  if (request_.own_reply) return;  // nobody wants it
  if (exchange_ && request_.body.empty() && piece.size() <= request_.credit) {
    request_.credit -= static_cast<std::uint32_t>(piece.size());
    return exchange_->SendBody(piece, /*end=*/false);  // straight on, without a copy
  }
  request_.body += piece;
  if (exchange_) PumpBody();
}

void HttpConnection::OnEnd() {
  if (phase_ == Phase::kLingering || phase_ == Phase::kIdle) return;
  // A WebSocket's "body" are its messages: it ends when the client closes.
  request_.body_ended = request_.websocket_key.empty() || request_.own_reply;
  if (request_.own_reply) {
    Answer(*std::exchange(request_.own_reply, {}));
  } else if (exchange_) {
    PumpBody();
  } else if (phase_ == Phase::kReceiving) {
    Forward(request_.body_ended);
  }
}

void HttpConnection::Forward(bool end) {
  phase_ = Phase::kForwarded;
  if (end) request_.payload += std::exchange(request_.body, {});
  if (request_.timeout_s) {
    request_.deadline =
        server_.loop().After(FromSeconds(*request_.timeout_s), [this] { OnDeadline(); });
  }
  auto exchange = request_.queue->Start(std::exchange(request_.payload, {}), end, *this);
  // It may have failed at once, and this connection with it gone on to its next request.
  if (!exchange->done()) exchange_ = std::move(exchange);
}

// Passes on what the replica has credit for; more than a window waiting here stops the client.
void HttpConnection::PumpBody() {
  std::string& body = request_.body;
  const std::size_t n = std::min<std::size_t>(body.size(), request_.credit);
  const bool last = request_.body_ended && n == body.size() && request_.credit > 0;
  if (n > 0 || last) {
    exchange_->SendBody(std::string_view(body).substr(0, n), last);
    request_.credit -= static_cast<std::uint32_t>(n);
    body.erase(0, n);
  }
  if (last) return StartReading();
  if (body.size() >= base::kInlineBody) {
    StopReading();
  } else {
    StartReading();
  }
}

void HttpConnection::OnCredit(std::uint32_t bytes) {
  request_.credit += bytes;
  PumpBody();
  if (websocket_ && websocket_->client_closed()) EndWebSocket();
}

// ---- the reply ----------------------------------------------------------------------------

ResponseContext HttpConnection::Context() const {
  return {.head_request = request_.head_request,
          .http_1_0 = request_.http_1_0,
          .keep_alive = request_.keep_alive,
          .date = server_.Date(),
          .request_id = request_.id};
}

void HttpConnection::OnReply(std::string_view payload, std::uint8_t flags) {
  base::ReplyHead head;
  std::string_view body;
  if (!base::ParseReplyHead(payload, head, body) || (flags & base::kFailure) != 0) {
    std::exchange(exchange_, nullptr)->Cancel();
    return OnFailure({.kind = route::Failure::Kind::kReplicaDied, .message = "malformed reply"});
  }
  const bool end = (flags & base::kEnd) != 0;
  if (!request_.websocket_key.empty() && head.status == 101 && !end) {
    Upgrade(head);
    return ToWebSocket(body, /*end=*/false, 0);
  }
  phase_ = Phase::kReplying;
  request_.status = head.status;
  // Whoever is answered before the body was read cannot go on to a next request.
  if (!request_.body_ended) request_.keep_alive = false;
  for (const auto& [name, value] : head.headers) {
    if (name != "content-length") continue;
    std::uint64_t length = 0;
    std::from_chars(value.data(), value.data() + value.size(), length);
    request_.promised = length;
  }
  request_.framing = AppendResponseHead(
      out_, head, end ? std::optional<std::size_t>(body.size()) : std::nullopt, Context());
  if (request_.framing == Framing::kClose) request_.keep_alive = false;
  WriteBody(body, end);
}

void HttpConnection::OnBody(std::string_view piece, std::uint8_t flags) {
  if (websocket_) {
    const bool failed = (flags & base::kFailure) != 0;
    return ToWebSocket(failed ? std::string_view() : piece, (flags & base::kEnd) != 0,
                       failed ? base::kWsServerError : base::kWsNormal);
  }
  if ((flags & base::kFailure) != 0) {
    std::exchange(exchange_, nullptr)->Cancel();
    return OnFailure(
        {.kind = route::Failure::Kind::kReplicaDied, .message = "the reply broke off"});
  }
  WriteBody(piece, (flags & base::kEnd) != 0);
}

void HttpConnection::WriteBody(std::string_view piece, bool end) {
  server_.loop().AtTurnEnd(*this);
  if (request_.promised && request_.framing == Framing::kLength) {
    // More than was announced would be read as the next reply.
    piece = piece.substr(0, static_cast<std::size_t>(std::min<std::uint64_t>(
                                piece.size(), *request_.promised - request_.sent)));
  }
  const bool as_it_is = request_.framing == Framing::kLength || request_.framing == Framing::kClose;
  if (as_it_is && piece.size() >= kWorthItsCall && !want_write_) {
    Transmit(piece);
    if (!socket_) return;
  } else {
    AppendBody(out_, request_.framing, piece);
  }
  request_.sent += piece.size();
  if (!end) {
    owed_ += static_cast<std::uint32_t>(piece.size());
    return;
  }
  exchange_.reset();
  AppendBodyEnd(out_, request_.framing);
  if (request_.promised && request_.framing == Framing::kLength &&
      request_.sent < *request_.promised) {
    request_.keep_alive = false;  // the client can tell only from the end of the connection
  }
  Complete();
}

void HttpConnection::OnFailure(const route::Failure& failure) {
  exchange_.reset();
  if (websocket_) return ToWebSocket({}, /*end=*/true, base::kWsServerError);
  if (phase_ == Phase::kReplying) {
    // The truth can no longer be told in words: a cut reply has no last chunk.
    Flush();
    Close();
    return;
  }
  const SimpleReply reply = ReplyTo(failure);
  if (!request_.body_ended) return Refuse(reply);
  Answer(reply);
}

void HttpConnection::OnDeadline() {
  request_.deadline = 0;
  if (exchange_) std::exchange(exchange_, nullptr)->Cancel();
  if (phase_ == Phase::kReplying || phase_ == Phase::kUpgraded) {
    Flush();
    Close();
  } else {
    Refuse(TimedOut(request_.id, *request_.timeout_s));
  }
}

void HttpConnection::Answer(const SimpleReply& reply) {
  request_.status = reply.status;
  base::ReplyHead head{.status = static_cast<std::uint16_t>(reply.status)};
  if (!reply.content_type.empty()) head.headers.emplace_back("content-type", reply.content_type);
  if (!reply.retry_after.empty()) head.headers.emplace_back("retry-after", reply.retry_after);
  phase_ = Phase::kReplying;
  request_.framing = AppendResponseHead(out_, head, reply.body.size(), Context());
  AppendBody(out_, request_.framing, reply.body);
  server_.loop().AtTurnEnd(*this);
  Complete();
}

// As Answer, and the connection ends with it: the rest of the request is not worth reading.
void HttpConnection::Refuse(const SimpleReply& reply) {
  request_.keep_alive = request_.keep_alive && request_.body_ended;
  Answer(reply);
}

void HttpConnection::Complete() {
  if (request_.deadline != 0) {
    server_.loop().Cancel(std::exchange(request_.deadline, 0));
  }
  Note();
  if (!request_.keep_alive) {
    phase_ = Phase::kLingering;
    close_after_flush_ = true;
    return;
  }
  NextRequest();
}

void HttpConnection::Note() {
  const DeploymentId* deployment = nullptr;
  if (request_.queue != nullptr) deployment = &request_.queue->route().id;
  server_.access_log().Note({.request_id = request_.id,
                             .method = request_.method,
                             .route = request_.route,
                             .status = request_.status,
                             .latency = server_.loop().Now() - request_.started,
                             .deployment = deployment});
}

void HttpConnection::NextRequest() {
  phase_ = Phase::kIdle;
  owed_ = 0;
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
  request_.status = head.status;
  AppendUpgradeHead(out_, head, WebSocketAccept(request_.websocket_key), Context());
  websocket_ = std::make_unique<WebSocket>(out_, request_.body);
  if (!rest_.empty()) FromWebSocket(std::exchange(rest_, {}));
}

void HttpConnection::FromWebSocket(std::string_view bytes) {
  websocket_->FromClient(bytes);
  server_.loop().AtTurnEnd(*this);
  if (websocket_->client_closed()) request_.body_ended = true;
  if (exchange_) PumpBody();
  if (websocket_->client_closed()) EndWebSocket();
}

// `code_at_end`: how to close when the replica ends without having closed.
void HttpConnection::ToWebSocket(std::string_view piece, bool end, std::uint16_t code_at_end) {
  if (phase_ != Phase::kUpgraded) {  // closed already; the handler is only coming to its end
    if (end) exchange_.reset();
    return;
  }
  server_.loop().AtTurnEnd(*this);
  websocket_->FromReplica(piece);
  owed_ += static_cast<std::uint32_t>(piece.size());
  if (end) {
    exchange_.reset();
    if (!websocket_->closed()) websocket_->Close(code_at_end);
  }
  if (end || websocket_->closed()) EndWebSocket();
}

// Both sides have been told: what is left is to send it, and to wait for the client's answer.
void HttpConnection::EndWebSocket() {
  if (phase_ != Phase::kUpgraded) return;
  // The client's last messages first: the end of this connection cancels what is under way.
  if (websocket_->client_closed() && exchange_ && !request_.body.empty()) return;
  request_.status = websocket_->code();
  request_.keep_alive = false;
  if (websocket_->client_closed()) request_.body_ended = true;
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
  msghdr message{};
  message.msg_iov = parts.data();
  message.msg_iovlen = parts.size();
  ssize_t n = 0;
  do {
    n = ::sendmsg(socket_.get(), &message, MSG_NOSIGNAL);
  } while (n < 0 && errno == EINTR);
  if (n < 0 && errno != EAGAIN) return Close();
  const std::size_t sent = n < 0 ? 0 : static_cast<std::size_t>(n);
  written_ += std::min(sent, queued.size());
  out_ += piece.substr(sent - std::min(sent, queued.size()));
}

void HttpConnection::Flush() {
  while (written_ < out_.size()) {
    const auto n =
        ::send(socket_.get(), out_.data() + written_, out_.size() - written_, MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) {
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

void HttpConnection::GrantCredit() {
  if (owed_ == 0 || !exchange_ || out_.size() - written_ > kEnoughUnsent) return;
  exchange_->GrantCredit(std::exchange(owed_, 0));
}

// A close with unread bytes resets the connection, and the client may lose the reply it is just
// reading. So: say that nothing more comes, and read what the client still sends, for a while.
void HttpConnection::Linger() {
  if (linger_ != 0) return;
  if (request_.body_ended && rest_.empty()) return Close();
  ::shutdown(socket_.get(), SHUT_WR);
  StartReading();
  linger_ = server_.loop().After(kLingerTime, [this] {
    linger_ = 0;
    Close();
  });
}

}  // namespace penstock::proxy
