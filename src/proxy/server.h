// The listening socket and what all its connections share.
//
// Thread: the proxy's loop.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/fd.h"
#include "base/heads.h"
#include "base/loop.h"
#include "base/random.h"
#include "proxy/client_connection.h"
#include "proxy/grpc_directory.h"
#include "proxy/handshake.h"
#include "proxy/patience.h"
#include "proxy/request_log.h"
#include "proxy/tls.h"
#include "route/router.h"

namespace penstock::proxy {

class Http2Connection;

struct ServerOptions {
  std::string root_path;                    // that a gateway in front strips
  std::optional<double> request_timeout_s;  // absent: none
  Duration keep_alive_timeout = std::chrono::seconds(90);
  Duration head_timeout = std::chrono::seconds(60);  // for a request's head, and for a handshake
  Duration body_timeout = std::chrono::seconds(60);  // between two pieces of a request's body
  std::uint64_t max_body_bytes = std::uint64_t{1} << 30;
  std::string access_log;                       // path, "" for none
  std::string node;                             // named in log lines
  std::string session_header = "x-session-id";  // names the session; in lower case
  std::shared_ptr<const TlsContext> tls;        // nullptr: plain
  // How long clients wait to be accepted for the router to hear of routes: one that has heard of
  // none would turn them away.
  Duration route_wait{};
};

// What a server speaks over TLS, as ALPN names it, the dearest first.
inline const std::vector<std::string> kProtocols{"h2", "http/1.1"};

class Server final : private base::FdHandler {
 public:
  // `listener` is bound and listening. `router` outlives the server.
  Server(base::Loop& loop, base::UniqueFd listener, route::Router& router, ServerOptions options);
  ~Server() override;

  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // Serves gRPC too, on a listener of its own.
  void ListenGrpc(base::UniqueFd listener, GrpcServing serving);

  // The router has heard of routes.
  void OnInformed();

  // Connections open now, those that are still agreeing on TLS included.
  std::size_t connections() const { return connections_.size() + handshakes_.size(); }

  // What was counted and measured.
  std::vector<base::MetricFamily> Metrics() const { return access_log_.Metrics(); }

  // For connections.
  base::Loop& loop() { return loop_; }
  base::Random& random() { return random_; }
  route::Router& router() { return router_; }
  RequestLog& access_log() { return access_log_; }
  const ServerOptions& options() const { return options_; }
  const std::string& address() const { return address_; }  // "host:port" of the listener
  std::array<char, 256 << 10>& scratch() { return scratch_; }
  base::RequestHead& head() { return head_; }  // reused: its vector keeps its memory
  const std::string& Date();                   // of now, for the header
  void OnIdle(Patience::Waiter& connection) { idle_.Begin(connection); }        // has no request
  void OnHeadBegun(Patience::Waiter& connection) { heads_.Begin(connection); }  // part of one
  void OnBusy(Patience::Waiter& connection) { connection.StopWaiting(); }       // has one
  void OnBodyAwaited(Patience::Waiter& call) { bodies_.Begin(call); }           // the next of it
  void Drop(ClientConnection& connection);                                      // it closed

  // A client said the preface of HTTP/2, and `received` behind it.
  void OnHttp2(Transport socket, std::string_view received);
  void Add(std::shared_ptr<ClientConnection> connection);

 private:
  // The listener for gRPC.
  struct Grpc;

  void OnEvents(std::uint32_t events) override;
  void Listen();
  void StopListening();
  base::UniqueFd Accept(const base::UniqueFd& listener);
  void Shake(base::UniqueFd socket);
  void Open(Transport socket);
  Http2Connection& OpenHttp2(Transport socket);

  base::Loop& loop_;
  base::UniqueFd listener_;
  bool listens_ = false;
  base::Loop::TimerId route_wait_ = 0;  // while clients are not accepted yet
  route::Router& router_;
  ServerOptions options_;
  std::string address_;
  base::Random random_;
  RequestLog access_log_;
  std::unique_ptr<Grpc> grpc_;
  base::RequestHead head_;
  std::array<char, 256 << 10> scratch_;
  Patience idle_;    // between requests
  Patience heads_;   // handshakes and heads that have begun
  Patience bodies_;  // bodies of which more is to come
  std::unordered_map<ClientConnection*, std::shared_ptr<ClientConnection>> connections_;
  std::unordered_map<Handshake*, std::shared_ptr<Handshake>> handshakes_;
  std::int64_t date_second_ = -1;
  std::string date_;
};

}  // namespace penstock::proxy
