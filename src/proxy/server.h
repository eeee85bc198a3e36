// The listening socket and what all its connections share.
//
// Thread: the proxy's loop.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/fd.h"
#include "base/loop.h"
#include "base/random.h"
#include "proxy/http_connection.h"
#include "proxy/request_log.h"
#include "route/router.h"

namespace penstock::proxy {

struct ServerOptions {
  std::string root_path;                    // that a gateway in front strips
  std::optional<double> request_timeout_s;  // absent: none
  Duration keep_alive_timeout = std::chrono::seconds(90);
  std::uint64_t max_body_bytes = std::uint64_t{1} << 30;
  std::string access_log;  // path, "" for none
  std::string node;        // named in log lines
};

class Server final : private base::FdHandler {
 public:
  // `listener` is bound and listening. `router` outlives the server.
  Server(base::Loop& loop, base::UniqueFd listener, route::Router& router, ServerOptions options);
  ~Server() override;

  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // Connections open now.
  std::size_t connections() const { return connections_.size(); }

  // What was counted and measured.
  std::vector<base::MetricFamily> Metrics() const {
    return access_log_.Metrics(connections_.size() - idle_.size());
  }

  // For connections.
  base::Loop& loop() { return loop_; }
  base::Random& random() { return random_; }
  route::Router& router() { return router_; }
  RequestLog& access_log() { return access_log_; }
  const ServerOptions& options() const { return options_; }
  const std::string& address() const { return address_; }  // "host:port" of the listener
  std::array<char, 64 << 10>& scratch() { return scratch_; }
  base::RequestHead& head() { return head_; }  // reused: its vector keeps its memory
  const std::string& Date();                   // of now, for the header
  void OnIdle(HttpConnection& connection);     // it waits for a request
  void OnBusy(HttpConnection& connection);     // it has one
  void Drop(HttpConnection& connection);       // it closed

 private:
  void OnEvents(std::uint32_t events) override;
  void Sweep();

  base::Loop& loop_;
  base::UniqueFd listener_;
  route::Router& router_;
  ServerOptions options_;
  std::string address_;
  base::Random random_;
  RequestLog access_log_;
  base::RequestHead head_;
  std::array<char, 64 << 10> scratch_;
  std::unordered_map<HttpConnection*, std::shared_ptr<HttpConnection>> connections_;
  std::list<HttpConnection*> idle_;  // the one that has been idle longest first
  base::Loop::TimerId sweep_ = 0;
  std::int64_t date_second_ = -1;
  std::string date_;
};

}  // namespace penstock::proxy
