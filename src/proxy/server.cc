#include "proxy/server.h"

#include <sys/epoll.h>
#include <sys/socket.h>

#include <utility>
#include <vector>

#include "base/log.h"
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
      access_log_(loop, options_.node) {
  if (const Status bad = access_log_.SetFile(options_.access_log); !bad.ok()) {
    base::LogError("no_access_log", {{"why", bad.message()}});
  }
  loop_.Watch(listener_.get(), EPOLLIN, *this);
}

Server::~Server() {
  loop_.Unwatch(listener_.get(), *this);
  if (sweep_ != 0) loop_.Cancel(sweep_);
  std::vector<std::shared_ptr<HttpConnection>> all;
  all.reserve(connections_.size());
  for (const auto& [raw, connection] : connections_) all.push_back(connection);
  for (const auto& connection : all) connection->Close();
}

void Server::OnEvents(std::uint32_t) {
  while (base::UniqueFd socket = base::Accept(listener_)) {
    auto connection = std::make_shared<HttpConnection>(*this, std::move(socket));
    connections_.emplace(connection.get(), connection);
  }
}

const std::string& Server::Date() {
  const auto second = static_cast<std::int64_t>(loop_.clock().UnixSeconds());
  if (second != date_second_) {
    date_second_ = second;
    date_ = HttpDate(second);
  }
  return date_;
}

void Server::OnIdle(HttpConnection& connection) {
  connection.idle_since = loop_.Now();
  connection.idle_place = idle_.insert(idle_.end(), &connection);
  if (sweep_ == 0) sweep_ = loop_.After(options_.keep_alive_timeout, [this] { Sweep(); });
}

void Server::OnBusy(HttpConnection& connection) { idle_.erase(connection.idle_place); }

// One timer for all: the list is in order of time because the time-out is the same for each.
void Server::Sweep() {
  sweep_ = 0;
  while (!idle_.empty()) {
    HttpConnection& oldest = *idle_.front();
    const TimePoint due = oldest.idle_since + options_.keep_alive_timeout;
    if (due > loop_.Now()) {
      sweep_ = loop_.At(due, [this] { Sweep(); });
      return;
    }
    oldest.Close();
  }
}

void Server::Drop(HttpConnection& connection) {
  if (connection.idle()) idle_.erase(connection.idle_place);
  auto dropped = connections_.extract(&connection);
  if (!dropped.empty()) loop_.Dispose(std::move(dropped.mapped()));
}

}  // namespace penstock::proxy
