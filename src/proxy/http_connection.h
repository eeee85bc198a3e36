// One client connection: its requests, one after another, and their replies.
//
// Thread: the proxy's loop.
#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/fd.h"
#include "base/loop.h"
#include "proxy/builtin.h"
#include "proxy/http_parser.h"
#include "proxy/http_response.h"
#include "proxy/websocket.h"
#include "route/exchange.h"

namespace penstock::proxy {

class Server;

class HttpConnection final : public base::FdHandler,
                             public base::TurnEndHandler,
                             private HttpParser::Sink,
                             private route::ReplySink {
 public:
  // `server` owns the connection and outlives it.
  HttpConnection(Server& server, base::UniqueFd socket);
  ~HttpConnection() override;

  void OnEvents(std::uint32_t events) override;
  void OnTurnEnd() override;

  // Ends it now. The server drops the object at the end of the turn.
  void Close();

  // True between requests.
  bool idle() const { return phase_ == Phase::kIdle; }

  // For the server: when it turned idle, and its place among the idle ones.
  TimePoint idle_since{};
  std::list<HttpConnection*>::iterator idle_place{};

 private:
  enum class Phase {
    kIdle,       // waits for a request
    kReceiving,  // a head is in; its body is collected, or thrown away
    kForwarded,  // a replica (or a queue) has the request
    kReplying,   // the head of the reply is out
    kUpgraded,   // a WebSocket: bytes go both ways
    kLingering,  // all is said; the client may still be talking
  };

  // What is known of the request under way.
  struct Request {
    TimePoint started{};
    std::string id;
    std::string method;
    std::string route;    // prefix, or the path when none matched
    std::string payload;  // encoded head for the replica
    std::string body;     // received and not passed on yet
    route::DeploymentQueue* queue = nullptr;
    std::optional<SimpleReply> own_reply;  // decided at the head, sent when the body is in
    std::uint64_t received = 0;            // bytes of body
    std::uint32_t credit = 0;              // bytes of body that the replica takes
    bool body_ended = false;
    bool head_request = false;
    bool http_1_0 = false;
    bool keep_alive = true;
    std::string websocket_key;        // not empty: it asks for a WebSocket
    std::optional<double> timeout_s;  // > 0; absent: none
    bool outlives_client = false;     // goes on when the client has gone
    int status = 0;
    Framing framing = Framing::kNone;
    std::optional<std::uint64_t> promised;  // content-length that the application announced
    std::uint64_t sent = 0;                 // bytes of body written
    base::Loop::TimerId deadline = 0;
  };

  void Receive();
  void Parse(std::string_view bytes);
  void OnGarbage(int status);
  void StopReading();
  void StartReading();

  void OnHead(const HttpHead& head) override;
  void OnBodyPiece(std::string_view piece) override;
  void OnEnd() override;
  void ReadControls(const HttpHead& head);
  void Route(const HttpHead& head);
  void EncodeHead(const HttpHead& head, std::string_view prefix, const std::string& app);
  void Forward(bool end);
  void PumpBody();

  void OnReply(std::string_view payload, std::uint8_t flags) override;
  void OnBody(std::string_view piece, std::uint8_t flags) override;
  void OnCredit(std::uint32_t bytes) override;
  void OnFailure(const route::Failure& failure) override;
  void WriteBody(std::string_view piece, bool end);
  void Upgrade(const base::ReplyHead& head);
  void FromWebSocket(std::string_view bytes);
  void ToWebSocket(std::string_view piece, bool end, std::uint16_t code_at_end);
  void EndWebSocket();
  void OnDeadline();

  void Answer(const SimpleReply& reply);
  void Refuse(const SimpleReply& reply);
  void Complete();
  void Note();
  void NextRequest();
  void Transmit(std::string_view piece);
  void Flush();
  void GrantCredit();
  void Linger();
  ResponseContext Context() const;

  Server& server_;
  base::UniqueFd socket_;
  std::string client_;  // "host:port"
  HttpParser parser_;
  Phase phase_ = Phase::kIdle;
  Request request_;
  std::shared_ptr<route::Exchange> exchange_;
  std::unique_ptr<WebSocket> websocket_;
  std::string rest_;  // received beyond the request under way
  std::string out_;
  std::size_t written_ = 0;  // out_[0, written_) is with the kernel
  std::uint32_t owed_ = 0;   // bytes of reply body taken and not yet credited to the replica
  bool parsing_ = false;
  bool reading_ = true;
  bool want_write_ = false;
  bool close_after_flush_ = false;
  base::Loop::TimerId linger_ = 0;
};

}  // namespace penstock::proxy
