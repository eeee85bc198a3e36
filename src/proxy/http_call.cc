#include "proxy/http_call.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "proxy/server.h"
#include "proxy/websocket.h"

namespace penstock::proxy {
namespace {

// A body up to this size is read to its end even when nobody wants it: the connection lives on.
constexpr std::uint64_t kWorthReading = 1 << 20;

constexpr int kClientLeft = 499;

constexpr std::string_view kModelIdHeader = "serve-multiplexed-model-id";

// Ray Serve takes hyphens and underscores alike.
bool IsHeader(std::string_view name, std::string_view wanted) {
  const auto plain = [](char c) { return c == '_' ? '-' : c; };
  return name.size() == wanted.size() && plain(name[0]) == plain(wanted[0]) &&
         std::ranges::equal(name, wanted, {}, plain, plain);
}

// An offer to go on in HTTP/2, which a server may leave alone (RFC 9110, 7.8).
bool OffersHttp2(const HttpHead& head) {
  return std::ranges::any_of(head.headers, [](const auto& header) {
    return header.first == "upgrade" && header.second == "h2c";
  });
}

}  // namespace

// ---- the request --------------------------------------------------------------------------

void HttpCall::Begin(const HttpHead& head) {
  Reset();
  own_reply_.reset();
  received_ = 0;
  status_ = 0;
  websocket_ = upgraded_ = false;
  method_ = head.method;
  ReadControls(head);
  if (head.content_length > server_.options().max_body_bytes) {
    return Answer(TooLarge(server_.options().max_body_bytes));
  }
  Route(head);
  // Who waits for our leave to send the body does not get it.
  const bool worth_reading =
      !head.chunked && !head.expects_continue && head.content_length <= kWorthReading;
  if (own_reply_ && !worth_reading) Answer(*std::exchange(own_reply_, {}));
  if (head.chunked || head.content_length > 0) AwaitBody();
}

void HttpCall::BeginUnreadable(const SimpleReply& reply) {
  if (!open()) {
    Reset();
    method_ = route_ = "-";
  }
  Answer(reply);
}

// Headers by which a client says how its request is to be treated (specification, 6.3).
void HttpCall::ReadControls(const HttpHead& head) {
  timeout_s_ = server_.options().request_timeout_s;
  for (const auto& [name, value] : head.headers) {
    if (!name.starts_with("x-request-")) continue;
    if (name == "x-request-id") {
      id_ = value;
    } else if (name == "x-request-timeout-seconds") {
      double seconds = 0;
      const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), seconds);
      if (error == std::errc() && end == value.data() + value.size()) timeout_s_ = seconds;
    } else if (name == "x-request-disconnect-disabled") {
      outlives_client_ = value == "?1";
    }
  }
  if (timeout_s_ && !(*timeout_s_ > 0)) timeout_s_.reset();
  if (id_.empty()) id_ = server_.random().Uuid();
}

void HttpCall::Route(const HttpHead& head) {
  std::string path = DecodedPath(head.target);
  if (head.upgrade && !OffersHttp2(head)) {
    if (!IsWebSocketRequest(head)) {
      route_ = path;
      own_reply_ = SimpleReply{501, std::string(kPlainText),
                               "Upgrades other than to a WebSocket are not supported.", ""};
      return;
    }
    method_ = "WS";
    websocket_ = true;
  }
  own_reply_ = BuiltinReply(path, server_.router());
  if (own_reply_) {
    quiet_ = true;
    route_ = path;
    return;
  }
  std::string_view own = path;
  const std::string& root_path = server_.options().root_path;
  if (!root_path.empty() && own.starts_with(root_path)) own.remove_prefix(root_path.size());
  const route::HttpRoute* route = server_.router().Match(own);
  if (route == nullptr) {
    route_ = path;
    own_reply_ = server_.router().informed() ? NotFound(path) : NotInformed();
    return;
  }
  route_ = route->prefix;
  queue_ = &server_.router().Queue(route->ingress);
  EncodeHead(head, route->prefix, route->ingress.app);
}

void HttpCall::EncodeHead(const HttpHead& head, std::string_view prefix, const std::string& app) {
  base::RequestHead& out = server_.head();
  const std::string root_path =
      server_.options().root_path + (prefix == "/" ? std::string() : std::string(prefix));
  out.kind = websocket_ ? base::CallKind::kWebSocket : base::CallKind::kHttp;
  out.flags = client_.secure() ? base::kSecure : std::uint8_t{0};
  out.request_id = id_;
  out.app = app;
  out.route = prefix;
  out.root_path = root_path;
  out.multiplexed_model_id = {};
  out.session_id = {};
  out.method = head.method;
  out.target = head.target;
  out.http_version = head.version;
  out.client = client_.address();
  out.server = server_.address();
  out.headers.assign(head.headers.begin(), head.headers.end());
  bool has_id = false;
  for (const auto& [name, value] : head.headers) {
    has_id = has_id || name == "x-request-id";
    if (IsHeader(name, kModelIdHeader)) out.multiplexed_model_id = value;
    if (IsHeader(name, server_.options().session_header)) out.session_id = value;
  }
  if (!has_id) out.headers.emplace_back("x-request-id", id_);
  base::AppendRequestHead(payload_, out);
}

void HttpCall::OnBodyPiece(std::string_view piece) {
  received_ += piece.size();
  StopWaiting();  // else it would be one wait from the first piece to the last
  if (received_ > server_.options().max_body_bytes) {
    if (replying()) return client_.OnReplyBroken();
    return Answer(TooLarge(server_.options().max_body_bytes));
  }
  if (receiving()) AwaitBody();
  if (own_reply_) return client_.OnBodyMoved(piece.size());  // nobody wants it
  AddBody(piece);
}

// Waits for the client, unless it is the client who waits: for what it sent to go on.
void HttpCall::AwaitBody() {
  const bool unread = !receiving() && backlog() > 0;
  if (websocket_ || body_ended() || replying() || !open() || unread) return;
  server_.OnBodyAwaited(*this);
}

void HttpCall::OnBodyEnd() {
  StopWaiting();
  // A WebSocket's "body" are its messages: it ends when the client closes.
  if (!websocket_ || own_reply_) SetBodyEnded();
  if (own_reply_) {
    Answer(*std::exchange(own_reply_, {}));
  } else if (receiving()) {
    Forward();
  } else {
    Pump();
  }
}

// ---- the reply ----------------------------------------------------------------------------

void HttpCall::OnReply(std::string_view payload, std::uint8_t flags) {
  base::ReplyHead head;
  std::string_view body;
  if (!base::ParseReplyHead(payload, head, body) || (flags & base::kFailure) != 0) {
    return Break("malformed reply");
  }
  const bool end = (flags & base::kEnd) != 0;
  stage_ = Stage::kReplying;
  StopWaiting();
  status_ = head.status;
  upgraded_ = websocket_ && head.status == 101 && !end;
  client_.OnReplyHead(head, end ? std::optional<std::size_t>(body.size()) : std::nullopt);
  Pass(body, end);
}

void HttpCall::OnBody(std::string_view piece, std::uint8_t flags) {
  if ((flags & base::kFailure) != 0) return Break("the reply broke off");
  Pass(piece, (flags & base::kEnd) != 0);
}

void HttpCall::Pass(std::string_view piece, bool end) {
  if (end) exchange_.reset();
  if (stage_ != Stage::kReplying) return;  // a WebSocket that is closed; its handler ends only now
  if (!end) owed_ += static_cast<std::uint32_t>(piece.size());
  client_.OnReplyBody(piece, end);
}

void HttpCall::Break(const char* why) {
  Cancel();
  OnFailure({.kind = route::Failure::Kind::kReplicaDied, .message = why});
}

void HttpCall::OnFailure(const route::Failure& failure) {
  exchange_.reset();
  if (failure.kind == route::Failure::Kind::kTooLate) return OnDeadline();
  if (replying()) return client_.OnReplyBroken();
  if (stage_ != Stage::kOver) Answer(ReplyTo(failure));
}

void HttpCall::OnDeadline() {
  if (replying()) return client_.OnReplyBroken();
  Answer(TimedOut(id_, *timeout_s_));
}

void HttpCall::OnBodyMoved(std::size_t bytes) {
  AwaitBody();
  client_.OnBodyMoved(bytes);
}

// Only before the reply has begun.
void HttpCall::OnImpatience() { Answer(BodyTimedOut(server_.options().body_timeout)); }

void HttpCall::Answer(const SimpleReply& reply) {
  StopWaiting();
  Cancel();
  own_reply_.reset();
  stage_ = Stage::kReplying;
  status_ = reply.status;
  base::ReplyHead head{.status = static_cast<std::uint16_t>(reply.status)};
  if (!reply.content_type.empty()) head.headers.emplace_back("content-type", reply.content_type);
  if (!reply.retry_after.empty()) head.headers.emplace_back("retry-after", reply.retry_after);
  client_.OnReplyHead(head, reply.body.size());
  client_.OnReplyBody(reply.body, /*end=*/true);
}

void HttpCall::NoteLeft() {
  StopWaiting();
  Forwarding::NoteLeft(upgraded_ ? base::kWsAbnormal : kClientLeft);
}

}  // namespace penstock::proxy
