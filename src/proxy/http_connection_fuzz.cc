// Any client on a real connection of the proxy, with a replica behind it that answers in several
// ways. Whatever the client says: replies have a head, nothing is left behind when the client is
// gone, and the next client is served.
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cctype>
#include <map>
#include <memory>
#include <string>

#include "base/connection.h"
#include "base/heads.h"
#include "base/protocol.h"
#include "base/socket.h"
#include "base/ws_message.h"
#include "proxy/server.h"
#include "support/fuzz.h"

namespace penstock::proxy {
namespace {

using base::FrameKind;
using testing_support::FuzzInput;

constexpr std::uint64_t kMaxBody = 100'000;

// What the replica does with a request. A fuzzer's byte chooses.
enum class Manner { kInline, kStream, kEarly, kShort, kLong, kMalformed, kFailure };
constexpr int kManners = 7;

// The frames of a replica, without one.
class Replica final : public base::FdHandler {
 public:
  Replica(base::Loop& loop, const std::string& path)
      : loop_(loop), listener_(*base::ListenUnix(path)) {
    loop_.Watch(listener_.get(), EPOLLIN, *this);
  }
  ~Replica() override {
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
    if (frame.head.kind == FrameKind::kRequest) {
      base::RequestHead head;
      std::string_view body;
      PENSTOCK_CHECK(base::ParseRequestHead(frame.payload, head, body));
      PENSTOCK_CHECK(end || body.empty());
      PENSTOCK_CHECK(body.size() <= base::kMaxSlot);
      PENSTOCK_CHECK(head.app == "app" && head.route == "/" && !head.request_id.empty());
      receiving[stream] = body.size();
      if (head.kind == base::CallKind::kWebSocket && manner == Manner::kStream) {
        Reply(stream, {.status = 101}, "", 0);
        sockets_[stream];
      }
      if (manner == Manner::kEarly) return Answer(stream);
      if (!end) Credit(stream, base::kBodyWindow);
    } else if (frame.head.kind == FrameKind::kBody) {
      if (receiving.count(stream) == 0) return;  // answered early
      std::size_t& received = receiving[stream];
      received += frame.payload.size();
      PENSTOCK_CHECK(received <= kMaxBody || sockets_.count(stream) > 0);
      if (sockets_.count(stream) > 0) Echo(stream, frame.payload);
      if (!end && !frame.payload.empty()) {
        Credit(stream, static_cast<std::uint32_t>(frame.payload.size()));
      }
    } else if (frame.head.kind == FrameKind::kCancel) {
      receiving.erase(stream);
      sockets_.erase(stream);
      return;
    }
    if (!end) return;
    if (sockets_.erase(stream) == 0) return Answer(stream);
    receiving.erase(stream);
    router_->Send({.kind = FrameKind::kBody, .flags = base::kEnd, .stream = stream});
  }

  // Says each message of a WebSocket again.
  void Echo(std::uint32_t stream, std::string_view piece) {
    base::WsMessageReader& reader = sockets_[stream];
    reader.Feed(piece);
    std::string echoes;
    while (const auto message = reader.Next()) base::AppendWsMessage(echoes, *message);
    PENSTOCK_CHECK(!reader.broken());
    if (!echoes.empty()) router_->Send({.kind = FrameKind::kBody, .stream = stream}, echoes);
  }

  void Credit(std::uint32_t stream, std::uint32_t bytes) {
    router_->Send({.kind = FrameKind::kCredit, .stream = stream}, base::EncodeCredit(bytes));
  }

  void Reply(std::uint32_t stream, base::ReplyHead head, std::string_view body,
             std::uint8_t flags) {
    std::string payload;
    base::AppendReplyHead(payload, head);
    router_->Send({.kind = FrameKind::kReply, .flags = flags, .stream = stream}, payload, body);
  }

  void Answer(std::uint32_t stream) {
    receiving.erase(stream);
    switch (manner) {
      case Manner::kMalformed:
        router_->Send({.kind = FrameKind::kReply, .flags = base::kEnd, .stream = stream}, "?");
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
        router_->Send({.kind = FrameKind::kBody, .flags = base::kEnd, .stream = stream}, "dy");
        return;
      default:
        return Reply(stream, {}, "body", base::kEnd);
    }
  }

  base::Loop& loop_;
  base::UniqueFd listener_;
  std::shared_ptr<base::Connection> router_;
  std::map<std::uint32_t, base::WsMessageReader> sockets_;  // those that were accepted
};

// The proxy and its replica, on one loop; made once.
class Setting {
 public:
  Setting() {
    route::RouteUpdate update{.epoch = 1, .http = {{{"/", {"app", "D"}}}}};
    update.deployments.push_back({.id = {"app", "D"},
                                  .max_ongoing_requests = 1000,
                                  .replicas = {{.id = "r", .socket = Path("r"), .node = "n"}}});
    router_.Apply(update);
    Turn(10);
  }
  ~Setting() {
    ::unlink(Path("r").c_str());
    ::unlink(Path("p").c_str());
  }

  // What a client gets that sends `bytes` in pieces of `step`, and then reads to the end.
  std::string Talk(std::string_view bytes, std::size_t step) {
    const base::UniqueFd client = *base::ConnectUnix(Path("p"));
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
  Replica replica{*loop_, Path("r")};

 private:
  route::Router router_{*loop_};
  Server server_{*loop_, *base::ListenUnix(Path("p")), router_, {.max_body_bytes = kMaxBody}};
};

// True for "HTTP/1.1 NNN ".
bool IsStatusLine(std::string_view text) {
  return text.size() > 13 && text.starts_with("HTTP/1.1 ") && std::isdigit(text[9]) != 0 &&
         std::isdigit(text[10]) != 0 && std::isdigit(text[11]) != 0 && text[12] == ' ';
}

}  // namespace
}  // namespace penstock::proxy

PENSTOCK_FUZZ(input) {
  using namespace penstock::proxy;
  static Setting setting;
  setting.replica.manner = static_cast<Manner>(input.Byte() % kManners);
  const std::size_t step = 1 + std::size_t{input.Byte()} * 16;
  const std::string text = setting.Talk(input.rest(), std::max(step, input.rest().size() / 64));
  PENSTOCK_CHECK(text.empty() || IsStatusLine(text));
  setting.CheckNothingIsLeft();
  setting.replica.manner = Manner::kInline;
  const std::string good = setting.Talk("GET /x HTTP/1.1\r\nHost: h\r\n\r\n", 1000);
  PENSTOCK_CHECK(good.starts_with("HTTP/1.1 200 OK\r\n") && good.ends_with("\r\n\r\nbody"));
  setting.CheckNothingIsLeft();
}
