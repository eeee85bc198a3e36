// One client connection of HTTP/1.1: its requests, one after another, and their replies.
//
// Thread: the proxy's loop.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/fd.h"
#include "base/loop.h"
#include "proxy/client_connection.h"
#include "proxy/http_call.h"
#include "proxy/http_parser.h"
#include "proxy/http_response.h"
#include "proxy/transport.h"
#include "proxy/websocket.h"

namespace penstock::proxy {

class Server;

class HttpConnection final : public ClientConnection,
                             public base::FdHandler,
                             public base::TurnEndHandler,
                             private HttpParser::Sink,
                             private HttpCall::Client {
 public:
  // `server` owns the connection and outlives it.
  HttpConnection(Server& server, Transport socket);
  ~HttpConnection() override;

  void OnEvents(std::uint32_t events) override;
  void OnTurnEnd() override;

  void Close() override;

 private:
  enum class Phase {
    kIdle,       // waits for a request
    kBusy,       // has one, or is answering it
    kUpgraded,   // a WebSocket: bytes go both ways
    kLingering,  // all is said; the client may still be talking
  };

  // How the reply under way is written.
  struct Reply {
    bool head_request = false;
    bool http_1_0 = false;
    bool keep_alive = true;
    std::string websocket_key;  // of a request for a WebSocket
    Framing framing = Framing::kNone;
    std::optional<std::uint64_t> promised;  // content-length that the application announced
    std::uint64_t sent = 0;                 // bytes of body written
  };

  void Receive();
  void Parse(std::string_view bytes);
  void OnGarbage(int status);
  void BecomeHttp2(std::string_view rest);
  void OnImpatience() override;
  void RefuseHead(const SimpleReply& reply);
  void StopReading();
  void StartReading();

  void OnHead(const HttpHead& head) override;
  void OnBodyPiece(std::string_view piece) override;
  void OnEnd() override;

  const std::string& address() const override { return client_; }
  bool secure() const override { return socket_.secure(); }
  void OnReplyHead(const base::ReplyHead& head, std::optional<std::size_t> size) override;
  void OnReplyBody(std::string_view piece, bool end) override;
  void OnReplyBroken() override;
  void OnBodyMoved(std::size_t bytes) override;
  void WriteBody(std::string_view piece);
  void Upgrade(const base::ReplyHead& head);
  void FromWebSocket(std::string_view bytes);
  void ToWebSocket(std::string_view piece, bool end, std::uint16_t code_at_end);
  void EndWebSocket();

  void Complete();
  void NextRequest();
  void Transmit(std::string_view piece);
  void Flush();
  void ForgetWritten();
  void GrantCredit();
  void Linger();
  ResponseContext Context() const;

  Server& server_;
  Transport socket_;
  std::string client_;  // "host:port"
  HttpParser parser_;
  Phase phase_ = Phase::kIdle;
  HttpCall call_;
  Reply reply_;
  std::unique_ptr<WebSocket> websocket_;
  std::string rest_;  // received beyond the request under way
  std::string out_;
  std::size_t written_ = 0;  // out_[0, written_) is with the kernel
  bool used_ = false;        // had a request
  bool parsing_ = false;
  bool reading_ = true;
  bool want_write_ = false;
  bool close_after_flush_ = false;
  base::Loop::TimerId linger_ = 0;
};

}  // namespace penstock::proxy
