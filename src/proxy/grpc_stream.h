// One gRPC call on an HTTP/2 connection.
//
// Messages pass as they are, compressed or not: only their prefixes are looked at here. What they
// mean is known in replicas.
//
// Thread: the proxy's loop.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/heads.h"
#include "proxy/forwarding.h"
#include "proxy/grpc_builtin.h"
#include "proxy/grpc_directory.h"
#include "proxy/grpc_frames.h"
#include "proxy/grpc_status.h"
#include "proxy/http2_stream.h"

namespace penstock::proxy {

class Server;

class GrpcStream final : public Http2Stream, private Forwarding {
 public:
  // `serving` outlives it.
  GrpcStream(Server& server, const GrpcServing& serving, Http2Connection& connection,
             std::int32_t id)
      : Http2Stream(connection, id),
        Forwarding(server, RequestLog::Protocol::kGrpc),
        serving_(serving) {}

  void OnHead(const HttpHead& head, bool ended) override;
  void OnHeadTooLarge() override;
  void OnBodyPiece(std::string_view piece) override;
  void OnBodyEnd() override;
  void OnBatchEnd() override;
  void OnLeft() override;

 private:
  // Metadata that says how a call is to be treated.
  struct Controls {
    std::string_view application;
    std::string_view model_id;
    std::string_view session_id;
    std::string_view encoding;  // of the messages; "" for none
    std::string_view timeout;
    bool grpc = false;  // the content type is gRPC's
  };

  Controls ReadControls(const HttpHead& head);
  bool SetTimeout(std::string_view timeout);
  void Accept(const HttpHead& head, const Controls& controls);
  const route::HttpRoute* FindApplication(std::string_view name) const;
  void EncodeHead(const HttpHead& head, const Controls& controls, const route::HttpRoute& route);
  void CheckMessages(std::string_view piece);

  void AnswerSome();
  bool AnswerNext();

  void OnReply(std::string_view payload, std::uint8_t flags) override { Pass(payload, flags); }
  void OnBody(std::string_view piece, std::uint8_t flags) override { Pass(piece, flags); }
  void OnFailure(const route::Failure& failure) override;
  void OnBodyMoved(std::size_t bytes) override;
  void OnDeadline() override;
  void OnRoom() override;

  void Pass(std::string_view piece, std::uint8_t flags);
  void EndFromReplica();
  void Begin();
  void End(int code, std::string_view text, const std::vector<Field>& metadata = {});
  void End(GrpcCode code, std::string_view text) { End(static_cast<int>(code), text); }

  const GrpcServing& serving_;
  const GrpcMethod* rpc_ = nullptr;       // a user's method
  const GrpcBuiltin* builtin_ = nullptr;  // or one of ours
  std::string encoding_;                  // of the request's messages
  GrpcFrames request_;
  GrpcFrames reply_;
  std::size_t messages_ = 0;  // of the request, begun
  std::string initial_;       // metadata of the reply, as it comes
  std::string trailers_;
  bool begun_ = false;  // the reply's head is out
};

}  // namespace penstock::proxy
