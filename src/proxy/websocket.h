// One WebSocket: frames of a client on one side, messages of a replica on the other.
//
// The frames are wslay's (masks, fragments, UTF-8, pings, the closing handshake). This class does
// no I/O: bytes go in, bytes and messages come out.
//
// Thread: the proxy's loop.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/ws_message.h"
#include "proxy/http_head.h"

namespace penstock::proxy {

// True when the head asks for a WebSocket that can be given: GET, version 13, a key.
bool IsWebSocketRequest(const HttpHead& head);

// The value of Sec-WebSocket-Accept for a client's key (RFC 6455, section 4.2.2).
std::string WebSocketAccept(std::string_view key);

class WebSocket {
 public:
  // Where output is appended: `to_client` frames, `to_replica` encoded messages. Both outlive it.
  WebSocket(std::string& to_client, std::string& to_replica);
  ~WebSocket();

  WebSocket(const WebSocket&) = delete;
  WebSocket& operator=(const WebSocket&) = delete;

  // Bytes that the client sent.
  void FromClient(std::string_view bytes);

  // A piece of the replica's messages.
  void FromReplica(std::string_view piece);

  // The replica will say no more: closes with `code` unless it has closed.
  void Close(std::uint16_t code);

  // True once no frame of ours follows: a close frame has been written.
  bool closed() const;

  // True once the client said that it sends no more, or said something that is no WebSocket.
  bool client_closed() const;

  // Of the close that came first.
  std::uint16_t code() const { return code_; }

 private:
  struct Wslay;
  void Send(const base::WsMessage& message);
  void Fail(std::uint16_t code);
  void Drain();

  std::string& to_client_;
  std::string& to_replica_;
  base::WsMessageReader from_replica_;
  std::unique_ptr<Wslay> wslay_;
  std::string_view input_;     // of the client, while FromClient runs
  std::uint16_t code_ = 0;     // 0: nobody has closed
  std::uint16_t mistake_ = 0;  // in what the client sent, of those that wslay lets pass
  bool failed_ = false;
};

}  // namespace penstock::proxy
