// One HTTP request on its way through the router, whichever version of HTTP it came by.
//
// Thread: the proxy's loop.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/heads.h"
#include "proxy/builtin.h"
#include "proxy/forwarding.h"
#include "proxy/http_head.h"
#include "proxy/patience.h"

namespace penstock::proxy {

class HttpCall final : public Forwarding, private Patience::Waiter {
 public:
  // The client's side of it: writes the reply as its version of HTTP wants it.
  class Client {
   public:
    virtual ~Client() = default;

    // Its "host:port".
    virtual const std::string& address() const = 0;

    // True when nobody on the way can read what it sends.
    virtual bool secure() const = 0;

    // The reply begins. `size`: of its body, when that is complete.
    virtual void OnReplyHead(const base::ReplyHead& head, std::optional<std::size_t> size) = 0;

    // A piece of its body; with `end` the last one, and the call waits for Finish.
    virtual void OnReplyBody(std::string_view piece, bool end) = 0;

    // The rest of a reply that has begun will not come.
    virtual void OnReplyBroken() = 0;

    // `bytes` of the request's body went on or were thrown away.
    virtual void OnBodyMoved(std::size_t bytes) = 0;
  };

  // Both outlive it.
  HttpCall(Server& server, Client& client)
      : Forwarding(server, RequestLog::Protocol::kHttp), client_(client) {}

  // Takes up a request. It may be answered before this returns; if it is not, and !refused(), the
  // client's side calls Forward, at the end of the body at the latest. When that takes its time,
  // and it is the client that does, it is answered with 408.
  void Begin(const HttpHead& head);

  // As Begin, for bytes that are no request: the answer to them.
  void BeginUnreadable(const SimpleReply& reply);

  // A piece of the request's body, and its end.
  void OnBodyPiece(std::string_view piece);
  void OnBodyEnd();

  // The proxy's own answer, instead of what is under way.
  void Answer(const SimpleReply& reply);

  // The reply is out: a line in the log.
  void Finish() { Forwarding::Finish(status_); }

  // The client left: that is what the log says.
  void NoteLeft();

  // True when it will be answered here, once its body has come.
  bool refused() const { return own_reply_.has_value(); }

  // True when it asks for a WebSocket, and once it has become one.
  bool websocket() const { return websocket_; }
  bool upgraded() const { return upgraded_; }

  // Of a WebSocket, for the log: the code it ended with.
  void SetStatus(int status) { status_ = status; }

  // Of a WebSocket: messages that are to be sent on. Call Pump afterwards.
  std::string& messages() { return body_; }
  void EndMessages() { SetBodyEnded(); }

 private:
  void ReadControls(const HttpHead& head);
  void Route(const HttpHead& head);
  void EncodeHead(const HttpHead& head, std::string_view prefix, const std::string& app);

  void OnReply(std::string_view payload, std::uint8_t flags) override;
  void OnBody(std::string_view piece, std::uint8_t flags) override;
  void OnFailure(const route::Failure& failure) override;
  void OnBodyMoved(std::size_t bytes) override;
  void OnDeadline() override;
  void OnImpatience() override;
  void AwaitBody();
  void Pass(std::string_view piece, bool end);
  void Break(const char* why);

  Client& client_;
  std::optional<SimpleReply> own_reply_;  // decided at the head, sent when the body is in
  std::uint64_t received_ = 0;            // bytes of body
  int status_ = 0;
  bool websocket_ = false;
  bool upgraded_ = false;
};

}  // namespace penstock::proxy
