// One stream of an HTTP/2 connection: a request that comes in, a reply that waits to be sent.
//
// What a request means is a subclass's: HttpStream, GrpcStream.
//
// Thread: the proxy's loop.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "proxy/client_connection.h"
#include "proxy/http2_head.h"

namespace penstock::proxy {

class Http2Connection;

class Http2Stream {
 public:
  using Field = std::pair<std::string_view, std::string_view>;

  // `connection` owns the stream.
  Http2Stream(Http2Connection& connection, std::int32_t id)
      : connection_(connection), stream_id_(id) {}
  virtual ~Http2Stream() = default;

  Http2Stream(const Http2Stream&) = delete;
  Http2Stream& operator=(const Http2Stream&) = delete;

  // ---- told by the connection: the request

  // Its fields, while the head comes in.
  Http2Head& head() { return head_; }

  // The head is complete; with `ended` it has no body.
  virtual void OnHead(const HttpHead& head, bool ended) = 0;

  // The head is larger than allowed.
  virtual void OnHeadTooLarge() = 0;

  virtual void OnBodyPiece(std::string_view piece) = 0;
  virtual void OnBodyEnd() = 0;

  // All that was received with the head has been told.
  virtual void OnBatchEnd() = 0;

  // The client ended the stream, or the connection is gone. It is destroyed next.
  virtual void OnLeft() = 0;

  // ---- told by the connection: the reply

  // Bytes of body that may be sent, and whether more may come.
  std::string_view pending() const { return std::string_view(out_).substr(taken_); }
  bool ended() const { return ended_; }
  const std::vector<std::pair<std::string, std::string>>& trailers() const { return trailers_; }

  // There was nothing to send: the connection is to be told when there is.
  void SetStarved() { starved_ = true; }

  // `bytes` of what was pending are on their way.
  void OnSent(std::size_t bytes);

 protected:
  // Starts the reply. Fields that HTTP/2 does not allow are left out. Without `body` that is all.
  void SendHead(int status, const std::vector<Field>& fields, bool body);

  // A piece of its body.
  void SendBody(std::string_view piece);

  // The end of its body, with trailers or without.
  void SendEnd(std::vector<std::pair<std::string, std::string>> trailers = {});

  // Cuts it: an error code of RFC 9113, 7.
  void SendReset(std::uint32_t code);

  // The client may send as many bytes of body again.
  void Consume(std::size_t bytes);

  // The replica has the request: its body may come faster.
  void Widen();

  // Little of the reply is unsent.
  virtual void OnRoom() = 0;

  Http2Connection& connection_;
  std::int32_t stream_id_;

 private:
  void Wake();

  Http2Head head_;
  std::string out_;
  std::size_t taken_ = 0;  // out_[0, taken_) is on its way
  std::vector<std::pair<std::string, std::string>> trailers_;
  bool ended_ = false;
  bool starved_ = false;
  bool wide_ = false;
};

}  // namespace penstock::proxy
