#include "proxy/server.h"

#include <nghttp2/nghttp2.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <utility>
#include <vector>

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
    server.loop_.Watch(listener.get(), EPOLLIN, *this);
  }
  ~Grpc() override { server.loop_.Unwatch(listener.get(), *this); }

  void OnEvents(std::uint32_t) override {
    const auto make_stream = [this](Http2Connection& connection, std::int32_t id) {
      return std::make_unique<GrpcStream>(server, serving, connection, id);
    };
    while (base::UniqueFd socket = base::Accept(listener)) {
      server.Add(std::make_shared<Http2Connection>(server, std::move(socket), make_stream,
                                                   kMaxGrpcStreams));
    }
  }

  Server& server;
  base::UniqueFd listener;
  GrpcServing serving;
};

Server::Server(base::Loop& loop, base::UniqueFd listener, route::Router& router,
               ServerOptions options)
    : loop_(loop),
      listener_(std::move(listener)),
      router_(router),
      options_(std::move(options)),
      address_(base::LocalAddress(listener_)),
      access_log_(loop, options_.access_log, options_.node) {
  loop_.Watch(listener_.get(), EPOLLIN, *this);
}

Server::~Server() {
  loop_.Unwatch(listener_.get(), *this);
  if (sweep_ != 0) loop_.Cancel(sweep_);
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

void Server::OnEvents(std::uint32_t) {
  while (base::UniqueFd socket = base::Accept(listener_)) {
    Add(std::make_shared<HttpConnection>(*this, std::move(socket)));
  }
}

void Server::OnHttp2(base::UniqueFd socket, std::string_view received) {
  const auto make_stream = [this](Http2Connection& connection, std::int32_t id) {
    return std::make_unique<HttpStream>(*this, connection, id);
  };
  auto connection =
      std::make_shared<Http2Connection>(*this, std::move(socket), make_stream, kMaxStreams);
  Add(connection);
  connection->Feed(NGHTTP2_CLIENT_MAGIC);  // which the other parser has consumed
  if (!received.empty()) connection->Feed(received);
}

const std::string& Server::Date() {
  const auto second = static_cast<std::int64_t>(loop_.clock().UnixSeconds());
  if (second != date_second_) {
    date_second_ = second;
    date_ = HttpDate(second);
  }
  return date_;
}

void Server::OnIdle(ClientConnection& connection) {
  connection.idle_since = loop_.Now();
  connection.idle_place = idle_.insert(idle_.end(), &connection);
  if (sweep_ == 0) sweep_ = loop_.After(options_.keep_alive_timeout, [this] { Sweep(); });
}

void Server::OnBusy(ClientConnection& connection) { idle_.erase(connection.idle_place); }

// One timer for all: the list is in order of time because the time-out is the same for each.
void Server::Sweep() {
  sweep_ = 0;
  while (!idle_.empty()) {
    ClientConnection& oldest = *idle_.front();
    const TimePoint due = oldest.idle_since + options_.keep_alive_timeout;
    if (due > loop_.Now()) {
      sweep_ = loop_.At(due, [this] { Sweep(); });
      return;
    }
    oldest.Close();
  }
}

void Server::Drop(ClientConnection& connection) {
  if (connection.idle()) idle_.erase(connection.idle_place);
  auto dropped = connections_.extract(&connection);
  if (!dropped.empty()) loop_.Dispose(std::move(dropped.mapped()));
}

}  // namespace penstock::proxy
