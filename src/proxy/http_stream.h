// One HTTP request on an HTTP/2 connection.
//
// Thread: the proxy's loop.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "proxy/http2_stream.h"
#include "proxy/http_call.h"

namespace penstock::proxy {

class Server;

class HttpStream final : public Http2Stream, private HttpCall::Client {
 public:
  HttpStream(Server& server, Http2Connection& connection, std::int32_t id)
      : Http2Stream(connection, id), server_(server), call_(server, *this) {}

  void OnHead(const HttpHead& head, bool ended) override;
  void OnHeadTooLarge() override;
  void OnBodyPiece(std::string_view piece) override;
  void OnBodyEnd() override;
  void OnBatchEnd() override;
  void OnLeft() override;

 private:
  void OnRoom() override { call_.Grant(); }

  const std::string& address() const override;
  bool secure() const override;
  void OnReplyHead(const base::ReplyHead& head, std::optional<std::size_t> size) override;
  void OnReplyBody(std::string_view piece, bool end) override;
  void OnReplyBroken() override;
  void OnBodyMoved(std::size_t bytes) override;

  Server& server_;
  HttpCall call_;
  bool head_request_ = false;
  bool has_body_ = false;                  // of the reply
  std::optional<std::uint64_t> promised_;  // content-length that the application announced
  std::uint64_t sent_ = 0;                 // bytes of body
};

}  // namespace penstock::proxy
