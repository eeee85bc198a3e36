#include "proxy/server.h"

#include <nghttp2/nghttp2.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <cerrno>
#include <utility>
#include <vector>

#include "base/log.h"
#include "base/socket.h"
#include "proxy/grpc_stream.h"
#include "proxy/http2_connection.h"
#include "proxy/http_connection.h"
#include "proxy/http_response.h"
#include "proxy/http_stream.h"

namespace penstock::proxy {
namespace {

// Requests of one HTTP/2 connection at the same time. Each may keep a window of body waiting.
constexpr std::uint32_t kMaxStreams = 256;
// Calls: their clients share a connection for all they do, and some last.
constexpr std::uint32_t kMaxGrpcStreams = 1024;

}  // namespace

struct Server::Grpc final : public base::FdHandler {
  Grpc(Server& to, base::UniqueFd socket, GrpcServing what)
      : server(to), listener(std::move(socket)), serving(std::move(what)) {
    if (server.route_wait_ == 0) Listen();
  }
  ~Grpc() override { StopListening(); }

  void Listen() {
    if (!std::exchange(listens, true)) server.loop_.Watch(listener.get(), EPOLLIN, *this);
  }
  void StopListening() {
    if (std::exchange(listens, false)) server.loop_.Unwatch(listener.get(), *this);
  }

  void OnEvents(std::uint32_t) override {
    const auto make_stream = [this](Http2Connection& connection, std::int32_t id) {
      return std::make_unique<GrpcStream>(server, serving, connection, id);
    };
    while (base::UniqueFd socket = server.Accept(listener)) {
      server.Add(std::make_shared<Http2Connection>(server, Transport(std::move(socket)),
                                                   make_stream, kMaxGrpcStreams));
    }
  }

  Server& server;
  base::UniqueFd listener;
  GrpcServing serving;
  bool listens = false;
};

Server::Server(base::Loop& loop, base::UniqueFd listener, route::Router& router,
               ServerOptions options)
    : loop_(loop),
      listener_(std::move(listener)),
      router_(router),
      options_(std::move(options)),
      address_(base::LocalAddress(listener_)),
      access_log_(loop, options_.node),
      idle_(loop, options_.keep_alive_timeout),
      heads_(loop, options_.head_timeout),
      bodies_(loop, options_.body_timeout) {
  if (const Status bad = access_log_.SetFile(options_.access_log); !bad.ok()) {
    base::LogError("no_access_log", {{"why", bad.message()}});
  }
  if (options_.route_wait > Duration::zero() && !router_.informed()) {
    route_wait_ = loop_.After(options_.route_wait, [this] {
      route_wait_ = 0;
      base::LogWarning("no_routes_heard_of",
                       {{"waited_s", std::to_string(ToSeconds(options_.route_wait))}});
      Listen();
    });
  } else {
    Listen();
  }
}

void Server::OnInformed() {
  if (route_wait_ == 0) return;
  loop_.Cancel(std::exchange(route_wait_, 0));
  Listen();
}

Server::~Server() {
  if (route_wait_ != 0) loop_.Cancel(route_wait_);
  StopListening();
  std::vector<std::shared_ptr<ClientConnection>> all;
  all.reserve(connections_.size());
  for (const auto& [raw, connection] : connections_) all.push_back(connection);
  for (const auto& connection : all) connection->Close();
}

void Server::ListenGrpc(base::UniqueFd listener, GrpcServing serving) {
  grpc_ = std::make_unique<Grpc>(*this, std::move(listener), std::move(serving));
}

void Server::Add(std::shared_ptr<ClientConnection> connection) {
  connections_.emplace(connection.get(), std::move(connection));
}

void Server::Listen() {
  if (!std::exchange(listens_, true)) loop_.Watch(listener_.get(), EPOLLIN, *this);
  if (grpc_) grpc_->Listen();
}

void Server::StopListening() {
  if (std::exchange(listens_, false)) loop_.Unwatch(listener_.get(), *this);
  if (grpc_) grpc_->StopListening();
}

// The next client. Where descriptors have run out, who has been idle longest makes room; where
// nobody is idle, clients wait in the kernel's queue until a connection ends.
base::UniqueFd Server::Accept(const base::UniqueFd& listener) {
  while (true) {
    base::UniqueFd socket = base::Accept(listener);
    if (socket || (errno != EMFILE && errno != ENFILE)) return socket;
    // The kernel says so before it looks whether anybody waits.
    pollfd waiting{.fd = listener.get(), .events = POLLIN, .revents = 0};
    if (::poll(&waiting, 1, 0) <= 0) return {};
    if (!idle_.HurryOldest()) {
      StopListening();
      return {};
    }
  }
}

void Server::OnEvents(std::uint32_t) {
  while (base::UniqueFd socket = Accept(listener_)) {
    if (options_.tls) {
      Shake(std::move(socket));
    } else {
      Open(Transport(std::move(socket)));
    }
  }
}

void Server::Shake(base::UniqueFd socket) {
  auto handshake = std::make_shared<Handshake>(
      loop_, std::move(socket), *options_.tls, [this](Handshake& ended, Transport transport) {
        loop_.Dispose(std::move(handshakes_.extract(&ended).mapped()));  // it is calling
        if (transport) Open(std::move(transport));
      });
  heads_.Begin(*handshake);
  handshakes_.emplace(handshake.get(), handshake);
}

void Server::Open(Transport socket) {
  if (socket.protocol() == kProtocols.front()) {
    OpenHttp2(std::move(socket));
  } else {
    Add(std::make_shared<HttpConnection>(*this, std::move(socket)));
  }
}

Http2Connection& Server::OpenHttp2(Transport socket) {
  const auto make_stream = [this](Http2Connection& connection, std::int32_t id) {
    return std::make_unique<HttpStream>(*this, connection, id);
  };
  auto connection =
      std::make_shared<Http2Connection>(*this, std::move(socket), make_stream, kMaxStreams);
  Http2Connection& opened = *connection;
  Add(std::move(connection));
  return opened;
}

void Server::OnHttp2(Transport socket, std::string_view received) {
  Http2Connection& connection = OpenHttp2(std::move(socket));
  connection.Feed(NGHTTP2_CLIENT_MAGIC);  // which the other parser has consumed
  if (!received.empty()) connection.Feed(received);
}

const std::string& Server::Date() {
  const auto second = static_cast<std::int64_t>(loop_.clock().UnixSeconds());
  if (second != date_second_) {
    date_second_ = second;
    date_ = HttpDate(second);
  }
  return date_;
}

void Server::Drop(ClientConnection& connection) {
  Listen();
  auto dropped = connections_.extract(&connection);
  if (!dropped.empty()) loop_.Dispose(std::move(dropped.mapped()));
}

}  // namespace penstock::proxy
