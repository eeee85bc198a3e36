// Any client on a real connection of the proxy, with a replica behind it that answers in several
// ways: what the fuzzers of the connections share.
#pragma once

#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>

#include "base/connection.h"
#include "base/heads.h"
#include "base/message.h"
#include "base/protocol.h"
#include "base/shared_slots.h"
#include "base/socket.h"
#include "base/ws_message.h"
#include "proxy/server.h"
#include "support/fuzz.h"

namespace penstock::testing_support {

inline constexpr std::uint64_t kMaxBody = 100'000;

// What the replica does with a request. A fuzzer's byte chooses.
enum class Manner { kInline, kStream, kEarly, kShort, kLong, kMalformed, kFailure };
inline constexpr int kManners = 7;

// The frames of a replica, without one.
class FuzzReplica final : public base::FdHandler {
 public:
  FuzzReplica(base::Loop& loop, const std::string& path)
      : loop_(loop), listener_(*base::ListenUnix(path)) {
    loop_.Watch(listener_.get(), EPOLLIN, *this);
  }
  ~FuzzReplica() override {
    loop_.Unwatch(listener_.get(), *this);
    if (router_) router_->Close();
  }

  void OnEvents(std::uint32_t) override {
    router_ = base::Connection::Open(
        loop_, base::Accept(listener_), base::kMaxDataPayload,
        {.on_frame = [this](const base::Frame& frame) { OnFrame(frame); }, .on_closed = {}});
    router_->Send(base::HelloHead(), base::EncodeHello({.role = "replica"}));
  }

  Manner manner = Manner::kInline;
  std::map<std::uint32_t, std::size_t> receiving;  // stream -> bytes of its body

 private:
  void OnFrame(const base::Frame& frame) {
    const std::uint32_t stream = frame.head.stream;
    const bool end = (frame.head.flags & base::kEnd) != 0;
    if (frame.head.kind == base::FrameKind::kRequest) {
      base::RequestHead head;
      std::string_view body;
      PENSTOCK_CHECK(base::ParseRequestHead(frame.payload, head, body));
      PENSTOCK_CHECK(end || body.empty());
      PENSTOCK_CHECK(body.size() <= base::kMaxSlot);
      const bool grpc = head.kind == base::CallKind::kGrpc;
      PENSTOCK_CHECK(head.app == "app" && head.route == (grpc ? "app" : "/"));
      PENSTOCK_CHECK(!head.request_id.empty());
      if (grpc) calls_.insert(stream);
      receiving[stream] = body.size();
      if (head.kind == base::CallKind::kWebSocket && manner == Manner::kStream) {
        Reply(stream, {.status = 101}, "", 0);
        sockets_[stream];
      }
      if (manner == Manner::kEarly) return Answer(stream);
      if (!end) Credit(stream, base::kBodyWindow);
    } else if (frame.head.kind == base::FrameKind::kBody) {
      if (receiving.count(stream) == 0) return;  // answered early
      std::size_t& received = receiving[stream];
      received += frame.payload.size();
      PENSTOCK_CHECK(received <= kMaxBody || sockets_.count(stream) + calls_.count(stream) > 0);
      if (sockets_.count(stream) > 0) Echo(stream, frame.payload);
      if (!end && !frame.payload.empty()) {
        Credit(stream, static_cast<std::uint32_t>(frame.payload.size()));
      }
    } else if (frame.head.kind == base::FrameKind::kCancel) {
      receiving.erase(stream);
      sockets_.erase(stream);
      calls_.erase(stream);
      return;
    }
    if (!end) return;
    if (sockets_.erase(stream) == 0) return Answer(stream);
    receiving.erase(stream);
    router_->Send({.kind = base::FrameKind::kBody, .flags = base::kEnd, .stream = stream});
  }

  // Says each message of a WebSocket again.
  void Echo(std::uint32_t stream, std::string_view piece) {
    base::WsMessageReader& reader = sockets_[stream];
    reader.Feed(piece);
    std::string echoes;
    while (const auto message = reader.Next()) base::AppendWsMessage(echoes, *message);
    PENSTOCK_CHECK(!reader.broken());
    if (!echoes.empty()) router_->Send({.kind = base::FrameKind::kBody, .stream = stream}, echoes);
  }

  void Credit(std::uint32_t stream, std::uint32_t bytes) {
    router_->Send({.kind = base::FrameKind::kCredit, .stream = stream}, base::EncodeCredit(bytes));
  }

  void Reply(std::uint32_t stream, base::ReplyHead head, std::string_view body,
             std::uint8_t flags) {
    std::string payload;
    base::AppendReplyHead(payload, head);
    router_->Send({.kind = base::FrameKind::kReply, .flags = flags, .stream = stream}, payload,
                  body);
  }

  void Answer(std::uint32_t stream) {
    receiving.erase(stream);
    if (calls_.erase(stream) > 0) return AnswerGrpc(stream);
    switch (manner) {
      case Manner::kMalformed:
        router_->Send({.kind = base::FrameKind::kReply, .flags = base::kEnd, .stream = stream},
                      "?");
        return;
      case Manner::kFailure:
        Reply(stream, {}, "", base::kEnd | base::kFailure);
        return;
      case Manner::kShort:
        return Reply(stream, {.headers = {{"content-length", "9"}}}, "body", base::kEnd);
      case Manner::kLong:
        return Reply(stream, {.headers = {{"content-length", "2"}}}, "body", base::kEnd);
      case Manner::kStream:
        Reply(stream, {}, "bo", 0);
        router_->Send({.kind = base::FrameKind::kBody, .flags = base::kEnd, .stream = stream},
                      "dy");
        return;
      default:
        return Reply(stream, {}, "body", base::kEnd);
    }
  }

  // A message of two bytes and the status OK, in one piece or several, or something else.
  void AnswerGrpc(std::uint32_t stream) {
    std::string status;
    base::AppendReplyHead(status, {.status = 0});
    std::string reply("\0\0\0\0\2ab\x80\0\0\0", 11);
    reply += static_cast<char>(status.size());
    reply += status;
    if (manner == Manner::kMalformed || manner == Manner::kShort) reply.resize(8);
    const std::uint8_t failure = manner == Manner::kFailure ? base::kFailure : std::uint8_t{0};
    if (manner == Manner::kStream) {
      for (const char c : reply) {
        router_->Send({.kind = base::FrameKind::kBody, .stream = stream}, std::string(1, c));
      }
      reply.clear();
    }
    router_->Send({.kind = base::FrameKind::kBody,
                   .flags = static_cast<std::uint8_t>(base::kEnd | failure),
                   .stream = stream},
                  reply);
  }

  base::Loop& loop_;
  base::UniqueFd listener_;
  std::shared_ptr<base::Connection> router_;
  std::set<std::uint32_t> calls_;                           // of gRPC
  std::map<std::uint32_t, base::WsMessageReader> sockets_;  // those that were accepted
};

// The proxy and its replica, on one loop; made once.
class FuzzProxy {
 public:
  FuzzProxy() {
    route::RouteUpdate update{.epoch = 1, .http = {{{"/", {"app", "D"}}}}};
    update.deployments.push_back({.id = {"app", "D"},
                                  .max_ongoing_requests = 1000,
                                  .replicas = {{.id = "r", .socket = Path("r"), .node = "n"}}});
    router_.Apply(update);
    const base::Json method = {{"path", "/p.Echo/Both"},
                               {"servicer", "m.add"},
                               {"client_streams", true},
                               {"server_streams", true}};
    server_.ListenGrpc(*base::ListenUnix(Path("g")),
                       {.directory = *proxy::GrpcDirectory::Parse(base::EncodeMessage(
                            {{{"methods", {method}}, {"files", base::Json::array()}}, ""}))});
    Turn(10);
  }
  ~FuzzProxy() {
    ::unlink(Path("r").c_str());
    ::unlink(Path("p").c_str());
    ::unlink(Path("g").c_str());
  }

  // What a client gets that sends `bytes` in pieces of `step`, and then reads to the end: at the
  // listener for HTTP, or that for gRPC.
  std::string Talk(std::string_view bytes, std::size_t step, bool grpc = false) {
    const base::UniqueFd client = *base::ConnectUnix(Path(grpc ? "g" : "p"));
    std::string text;
    while (!bytes.empty()) {
      const auto n = ::send(client.get(), bytes.data(), std::min(step, bytes.size()), MSG_NOSIGNAL);
      if (n < 0) break;  // closed
      bytes.remove_prefix(static_cast<std::size_t>(n));
      Turn(1);
      Read(client, text);
    }
    // Four hops to the replica and back, and as many again for each reply that waits its turn.
    for (int quiet = 0; quiet < 6;) {
      Turn(1);
      quiet = Read(client, text) ? 0 : quiet + 1;
    }
    return text;
  }

  // Turns until the clients that are gone are forgotten.
  void CheckNothingIsLeft() {
    for (int i = 0; i < 20 && (server_.connections() > 0 || !replica.receiving.empty()); ++i)
      Turn(1);
    PENSTOCK_CHECK(server_.connections() == 0);
    PENSTOCK_CHECK(replica.receiving.empty());
  }

 private:
  static std::string Path(const char* name) {
    return "/tmp/penstock_fuzz_" + std::to_string(::getpid()) + name;
  }

  void Turn(int times) {
    for (int i = 0; i < times; ++i) loop_->RunOnce(Duration::zero());
  }

  static bool Read(const base::UniqueFd& client, std::string& text) {
    char bytes[65536];
    const auto n = ::recv(client.get(), bytes, sizeof bytes, MSG_DONTWAIT);
    if (n > 0) text.append(bytes, static_cast<std::size_t>(n));
    return n > 0;
  }

  std::unique_ptr<base::Loop> loop_ = *base::Loop::Create();

 public:
  FuzzReplica replica{*loop_, Path("r")};

 private:
  route::Router router_{*loop_};
  proxy::Server server_{
      *loop_, *base::ListenUnix(Path("p")), router_, {.max_body_bytes = kMaxBody}};
};

}  // namespace penstock::testing_support
