// One client connection of HTTP/2: its streams, their flow control, its limits.
//
// nghttp2 reads and writes the frames; here is what they mean to the proxy, and the socket.
//
// Thread: the proxy's loop.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/fd.h"
#include "base/loop.h"
#include "proxy/client_connection.h"
#include "proxy/http2_stream.h"
#include "proxy/token_bucket.h"
#include "proxy/transport.h"

struct nghttp2_session;

namespace penstock::proxy {

class Server;

class Http2Connection final : public ClientConnection,
                              public base::FdHandler,
                              public base::TurnEndHandler {
 public:
  // Makes the stream of a new request.
  using MakeStream =
      std::function<std::unique_ptr<Http2Stream>(Http2Connection& connection, std::int32_t id)>;

  // `server` owns the connection and outlives it. `max_streams`: requests at the same time.
  Http2Connection(Server& server, Transport socket, MakeStream make_stream,
                  std::uint32_t max_streams);
  ~Http2Connection() override;

  // Takes what has been received already.
  void Feed(std::string_view bytes);

  void OnEvents(std::uint32_t events) override;
  void OnTurnEnd() override;

  // Says farewell, as far as the socket takes it, and ends it.
  void Close() override;

  // "host:port" of the client.
  const std::string& client() const { return client_; }

  // True over TLS.
  bool secure() const { return socket_.secure(); }

  // For streams. Nothing is sent before the end of the turn.
  void SubmitHead(Http2Stream& stream, std::int32_t id, int status,
                  const std::vector<Http2Stream::Field>& fields, bool body);
  void SubmitContinue(std::int32_t id);
  void SubmitReset(std::int32_t id, std::uint32_t code);
  void Resume(std::int32_t id);
  void Consume(std::int32_t id, std::size_t bytes);
  void Widen(std::int32_t id);
  void FlushSoon();

 private:
  void OnImpatience() override { Close(); }

  struct Wire;  // nghttp2's callbacks

  void Receive();
  void Fill();
  void Flush();
  void Drop(std::int32_t id);
  Http2Stream* Find(std::int32_t id) const;

  Server& server_;
  Transport socket_;
  std::string client_;
  MakeStream make_stream_;
  nghttp2_session* session_ = nullptr;
  std::unordered_map<std::int32_t, std::unique_ptr<Http2Stream>> streams_;
  std::vector<std::int32_t> fresh_;  // whose heads came with what is being read
  TokenBucket mistakes_;             // that the client may make
  std::string out_;
  std::size_t written_ = 0;  // out_[0, written_) is with the kernel
  bool want_write_ = false;
  bool closing_ = false;
};

}  // namespace penstock::proxy
