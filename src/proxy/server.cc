#include "proxy/server.h"

#include <sys/epoll.h>
#include <sys/socket.h>

#include <utility>
#include <vector>

#include "base/socket.h"
#include "proxy/http_response.h"

namespace penstock::proxy {

Server::Server(base::Loop& loop, base::UniqueFd listener, route::Router& router,
               ServerOptions options)
    : loop_(loop),
      listener_(std::move(listener)),
      router_(router),
      options_(std::move(options)),
      address_(base::LocalAddress(listener_)),
      access_log_(loop, options_.access_log, options_.node),
      idle_(loop, options_.keep_alive_timeout),
      heads_(loop, options_.head_timeout) {
  loop_.Watch(listener_.get(), EPOLLIN, *this);
}

Server::~Server() {
  loop_.Unwatch(listener_.get(), *this);
  std::vector<std::shared_ptr<HttpConnection>> all;
  all.reserve(connections_.size());
  for (const auto& [raw, connection] : connections_) all.push_back(connection);
  for (const auto& connection : all) connection->Close();
}

void Server::OnEvents(std::uint32_t) {
  while (base::UniqueFd socket = base::Accept(listener_)) {
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
  auto connection = std::make_shared<HttpConnection>(*this, std::move(socket));
  connections_.emplace(connection.get(), connection);
}

const std::string& Server::Date() {
  const auto second = static_cast<std::int64_t>(loop_.clock().UnixSeconds());
  if (second != date_second_) {
    date_second_ = second;
    date_ = HttpDate(second);
  }
  return date_;
}

void Server::Drop(HttpConnection& connection) {
  auto dropped = connections_.extract(&connection);
  if (!dropped.empty()) loop_.Dispose(std::move(dropped.mapped()));
}

}  // namespace penstock::proxy
