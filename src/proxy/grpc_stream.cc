#include "proxy/grpc_stream.h"

#include <algorithm>

#include "base/compress.h"
#include "proxy/http2_connection.h"
#include "proxy/server.h"

namespace penstock::proxy {
namespace {

constexpr int kOkStatus = 200;
constexpr int kUnsupportedMediaType = 415;
constexpr std::string_view kContentType = "application/grpc";
constexpr std::string_view kEncodings = "identity,deflate,gzip";
// Largest message to a user's method, and to one of ours, in bytes.
constexpr std::uint32_t kMostMessage = 1u << 30u;
constexpr std::uint32_t kMostBuiltinMessage = 16 << 10;

constexpr std::string_view kPing =
    " Ping /ray.serve.RayServeAPIService/ListApplications for available applications.";

bool IsGrpcType(std::string_view type) {
  if (!type.starts_with(kContentType)) return false;
  type.remove_prefix(kContentType.size());
  return type.empty() || type.front() == '+' || type.front() == ';';
}

GrpcCode CodeOf(route::Failure::Kind kind) {
  switch (kind) {
    case route::Failure::Kind::kBackpressure:
      return GrpcCode::kResourceExhausted;
    case route::Failure::Kind::kReplicaDied:
      return GrpcCode::kInternal;
    default:
      return GrpcCode::kUnavailable;
  }
}

}  // namespace

// ---- the request --------------------------------------------------------------------------

GrpcStream::Controls GrpcStream::ReadControls(const HttpHead& head) {
  Controls controls;
  for (const auto& [name, value] : head.headers) {
    if (name == "content-type") {
      controls.grpc = head.method == "POST" && IsGrpcType(value);
    } else if (name == "application") {
      controls.application = value;
    } else if (name == "request_id") {
      id_ = value;
    } else if (name == "multiplexed_model_id") {
      controls.model_id = value;
    } else if (name == "session_id") {
      controls.session_id = value;
    } else if (name == "grpc-encoding") {
      controls.encoding = value == "identity" ? std::string_view() : value;
    } else if (name == "grpc-timeout") {
      controls.timeout = value;
    }
  }
  if (id_.empty()) id_ = server_.random().Uuid();
  return controls;
}

// The earlier of the client's deadline and ours. False when the client's is malformed.
bool GrpcStream::SetTimeout(std::string_view timeout) {
  timeout_s_ = serving_.request_timeout_s;
  if (timeout.empty()) return true;
  const auto wanted = ParseGrpcTimeout(timeout);
  if (!wanted) return false;
  timeout_s_ = std::min(timeout_s_.value_or(ToSeconds(*wanted)), ToSeconds(*wanted));
  return true;
}

void GrpcStream::OnHead(const HttpHead& head, bool ended) {
  Reset();
  method_ = head.target;
  const Controls controls = ReadControls(head);
  if (!controls.grpc) {
    stage_ = Stage::kOver;
    return SendHead(kUnsupportedMediaType, {}, /*body=*/false);
  }
  Accept(head, controls);
  if (ended) OnBodyEnd();
}

void GrpcStream::OnHeadTooLarge() {
  Reset();
  End(GrpcCode::kResourceExhausted, "the metadata is larger than allowed");
}

void GrpcStream::Accept(const HttpHead& head, const Controls& controls) {
  if (!SetTimeout(controls.timeout)) {
    return End(GrpcCode::kInternal, "malformed grpc-timeout: " + std::string(controls.timeout));
  }
  encoding_ = controls.encoding;
  if (!encoding_.empty() && encoding_ != "gzip" && encoding_ != "deflate") {
    return End(GrpcCode::kUnimplemented, "compression '" + encoding_ + "' is not known");
  }
  rpc_ = serving_.directory.Find(head.target);
  if (rpc_ == nullptr) {
    builtin_ =
        FindGrpcBuiltin(head.target, {serving_.directory, server_.router(), serving_.reflection});
    quiet_ = builtin_ != nullptr;
    if (builtin_ == nullptr) End(GrpcCode::kUnimplemented, "Method not found!");
    return;
  }
  const route::HttpRoute* route = FindApplication(controls.application);
  if (route == nullptr) {
    const std::string name(controls.application);
    const std::string what =
        name.empty() ? "Application metadata not set." : "Application '" + name + "' not found.";
    return End(GrpcCode::kNotFound, what + std::string(kPing));
  }
  route_ = route->ingress.app;
  queue_ = &server_.router().Queue(route->ingress);
  EncodeHead(head, controls, *route);
}

// With one application, any name is its (behaviour specification, 6.5).
const route::HttpRoute* GrpcStream::FindApplication(std::string_view name) const {
  const auto& routes = server_.router().http();
  const auto found = std::ranges::find_if(
      routes, [&](const route::HttpRoute& route) { return route.ingress.app == name; });
  if (found != routes.end()) return &*found;
  return routes.size() == 1 ? &routes.front() : nullptr;
}

void GrpcStream::EncodeHead(const HttpHead& head, const Controls& controls,
                            const route::HttpRoute& route) {
  base::RequestHead& out = server_.head();
  out.kind = base::CallKind::kGrpc;
  out.flags = static_cast<std::uint8_t>((rpc_->server_streams ? base::kStreamReply : 0) |
                                        (rpc_->client_streams ? base::kStreamRequest : 0));
  out.request_id = id_;
  out.app = route.ingress.app;
  out.route = route.ingress.app;
  out.root_path = {};
  out.multiplexed_model_id = controls.model_id;
  out.session_id = controls.session_id;
  out.method = head.target.substr(head.target.rfind('/') + 1);
  out.servicer = rpc_->servicer;
  out.target = head.target;
  out.http_version = head.version;
  out.client = connection_.client();
  out.server = server_.address();
  out.headers.assign(head.headers.begin(), head.headers.end());
  base::AppendRequestHead(payload_, out);
}

void GrpcStream::OnBodyPiece(std::string_view piece) {
  if (open() && builtin_ != nullptr) {
    body_ += piece;
    return AnswerSome();
  }
  if (open()) CheckMessages(piece);
  open() ? AddBody(piece) : Consume(piece.size());
}

void GrpcStream::CheckMessages(std::string_view piece) {
  GrpcFrames::Part part;
  while (open() && request_.Next(piece, part)) {
    if (!part.first) continue;
    ++messages_;
    if (part.flag > kGrpcCompressed || (part.flag == kGrpcCompressed && encoding_.empty())) {
      End(GrpcCode::kInternal, "a message is flagged as compressed, and it is not said how");
    } else if (part.size > kMostMessage) {
      End(GrpcCode::kResourceExhausted,
          "a message is larger than " + std::to_string(kMostMessage) + " bytes");
    } else if (messages_ > 1 && !rpc_->client_streams) {
      End(GrpcCode::kUnimplemented, "the method takes one message, and more came");
    }
  }
}

void GrpcStream::OnBodyEnd() {
  if (!open()) return;
  SetBodyEnded();
  if (builtin_ != nullptr) return AnswerSome();
  if (request_.inside()) return End(GrpcCode::kInternal, "the request was cut inside a message");
  if (messages_ == 0 && !rpc_->client_streams) {
    return End(GrpcCode::kUnimplemented, "the method takes one message, and none came");
  }
  receiving() ? Forward() : Pump();
}

void GrpcStream::OnBatchEnd() {
  if (receiving() && queue_ != nullptr) Forward();
}

void GrpcStream::OnLeft() {
  Forwarding::NoteLeft(static_cast<int>(GrpcCode::kCancelled),
                       GrpcCodeName(static_cast<int>(GrpcCode::kCancelled)));
  Drop();
}

void GrpcStream::OnBodyMoved(std::size_t bytes) {
  if (under_way()) Widen();
  Consume(bytes);
}

// ---- our own services ---------------------------------------------------------------------

// Answers what has come, as long as the client reads the answers.
void GrpcStream::AnswerSome() {
  while (open() && pending().size() <= kEnoughUnsent) {
    if (AnswerNext()) continue;
    if (!open() || !body_ended()) return;
    if (!body_.empty()) {
      End(GrpcCode::kInternal, "the request was cut inside a message");
    } else if (messages_ != 1 && !builtin_->streams) {
      End(GrpcCode::kUnimplemented, "the method takes one message");
    } else {
      End(GrpcCode::kOk, "");
    }
  }
}

// False when there is no whole message, or the call is over.
bool GrpcStream::AnswerNext() {
  std::string_view bytes = body_;
  GrpcFrames frames;
  GrpcFrames::Part part;
  if (!frames.Next(bytes, part)) return false;
  if (part.size > kMostBuiltinMessage) {
    End(GrpcCode::kResourceExhausted,
        "a message is larger than " + std::to_string(kMostBuiltinMessage) + " bytes");
    return false;
  }
  if (!part.last) return false;
  std::string message(part.bytes);
  if (part.flag != kGrpcPlain) {
    auto plain = base::Decompress(encoding_, message, kMostBuiltinMessage);
    if (!plain.ok()) {
      End(GrpcCode::kInternal, plain.status().message());
      return false;
    }
    message = *std::move(plain);
  }
  const std::size_t taken = body_.size() - bytes.size();
  body_.erase(0, taken);
  Consume(taken);
  ++messages_;
  const GrpcAnswer answer =
      builtin_->answer({serving_.directory, server_.router(), serving_.reflection}, message);
  if (answer.message) {
    Begin();
    std::string framed;
    AppendGrpcPrefix(framed, kGrpcPlain, static_cast<std::uint32_t>(answer.message->size()));
    SendBody(framed + *answer.message);
  }
  if (answer.code != GrpcCode::kOk) End(answer.code, answer.text);
  return open();
}

// ---- the reply ----------------------------------------------------------------------------

void GrpcStream::Pass(std::string_view piece, std::uint8_t flags) {
  const bool end = (flags & base::kEnd) != 0;
  if (end) {
    exchange_.reset();
  } else {
    owed_ += static_cast<std::uint32_t>(piece.size());
  }
  if ((flags & base::kFailure) != 0) return End(GrpcCode::kInternal, "the replica failed");
  stage_ = Stage::kReplying;
  GrpcFrames::Part part;
  while (reply_.Next(piece, part)) {
    if (part.flag == kGrpcInitial || part.flag == kGrpcTrailers) {
      (part.flag == kGrpcInitial ? initial_ : trailers_) += part.bytes;
      continue;
    }
    Begin();
    if (part.first) {
      std::string prefix;
      AppendGrpcPrefix(prefix, part.flag, part.size);
      SendBody(prefix);
    }
    SendBody(part.bytes);
  }
  if (end) return EndFromReplica();
  if (pending().size() <= kEnoughUnsent) Grant();
}

// Sends the reply's head, once.
void GrpcStream::Begin() {
  if (begun_) return;
  begun_ = true;
  std::vector<Field> fields = {{"content-type", kContentType},
                               {"grpc-accept-encoding", kEncodings}};
  base::ReplyHead head;
  std::string_view none;
  if (base::ParseReplyHead(initial_, head, none)) {
    fields.insert(fields.end(), head.headers.begin(), head.headers.end());
  }
  SendHead(kOkStatus, fields, /*body=*/true);
}

void GrpcStream::EndFromReplica() {
  base::ReplyHead head;
  std::string_view none;
  if (reply_.inside() || !base::ParseReplyHead(trailers_, head, none)) {
    return End(GrpcCode::kInternal, "the replica's reply has no status");
  }
  std::string_view text;
  std::vector<Field> metadata;
  for (const auto& [name, value] : head.headers) {
    if (name == "grpc-message") {
      text = value;
    } else {
      metadata.emplace_back(name, value);
    }
  }
  End(head.status, text, metadata);
}

void GrpcStream::OnFailure(const route::Failure& failure) {
  exchange_.reset();
  if (failure.kind == route::Failure::Kind::kTooLate) return OnDeadline();
  End(CodeOf(failure.kind), failure.message);
}

void GrpcStream::OnDeadline() {
  std::string text = "Request timed out";
  if (timeout_s_ == serving_.request_timeout_s) {
    text += " after " + nlohmann::json(*timeout_s_).dump() + "s";
  }
  End(GrpcCode::kDeadlineExceeded, text + ".");
}

void GrpcStream::OnRoom() {
  Grant();
  if (builtin_ != nullptr) AnswerSome();
}

void GrpcStream::End(int code, std::string_view text, const std::vector<Field>& metadata) {
  if (stage_ == Stage::kOver) return;
  Cancel();
  const std::string status = std::to_string(code);
  const std::string message = EncodeGrpcMessage(text);
  std::vector<Field> fields = {{"grpc-status", status}};
  if (!message.empty()) fields.emplace_back("grpc-message", message);
  fields.emplace_back("request_id", id_);
  fields.insert(fields.end(), metadata.begin(), metadata.end());
  if (begun_) {
    SendEnd({fields.begin(), fields.end()});
  } else {
    fields.insert(fields.begin(), {"content-type", kContentType});
    fields.emplace_back("grpc-accept-encoding", kEncodings);
    SendHead(kOkStatus, fields, /*body=*/false);
  }
  Finish(code, GrpcCodeName(code));
}

}  // namespace penstock::proxy
