// What the proxy tells about its requests: a line in the access log, and counts.
//
// Thread: the proxy's loop.
#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/access_log.h"
#include "base/loop.h"
#include "base/metrics.h"
#include "penstock/ids.h"
#include "penstock/status.h"

namespace penstock::proxy {

class RequestLog {
 public:
  enum class Protocol { kHttp, kGrpc };

  // One finished request.
  struct Entry {
    Protocol protocol = Protocol::kHttp;
    std::string_view request_id;
    std::string_view method;
    std::string_view route;  // route prefix, or the path when none matched; of gRPC the application
    int status = 0;          // or the code with which a WebSocket was closed; of gRPC its code
    std::string_view status_name;  // said instead of the number, "" for none
    Duration latency{};
    const DeploymentId* deployment = nullptr;  // nullptr when no route matched
    bool builtin = false;                      // the proxy's own: counted and not logged
  };

  // Lines begin with the proxy's node.
  RequestLog(base::Loop& loop, std::string node) : access_log_(loop), node_(std::move(node)) {}

  // Where lines go from now on: a file ("" for none), in text or JSON. kInternal when it cannot be
  // opened.
  Status SetFile(const std::string& path, bool json = false);

  // A request is under way from Begin to End.
  void Begin(Protocol protocol) { ++Of(protocol).ongoing; }
  void End(Protocol protocol) { --Of(protocol).ongoing; }

  // Notes a request.
  void Note(const Entry& entry);

  std::vector<base::MetricFamily> Metrics() const;

 private:
  struct Key {
    std::string app;
    std::string deployment;
    std::string route;
    std::string method;
    int status = 0;
    std::string status_name;
    friend auto operator<=>(const Key&, const Key&) = default;
  };
  struct Series {
    std::uint64_t count = 0;
    base::Histogram latency_ms{base::LatencyBounds()};
  };

  struct Counts {
    std::map<Key, Series> series;
    std::pair<const Key, Series>* latest = nullptr;  // of series; most requests are alike
    int ongoing = 0;
  };

  Counts& Of(Protocol protocol) { return protocol == Protocol::kHttp ? http_ : grpc_; }
  Series& SeriesOf(const Entry& entry);
  void AddFamilies(Protocol protocol, const Counts& counts,
                   std::vector<base::MetricFamily>& out) const;

  base::AccessLog access_log_;
  std::string node_;
  Counts http_;
  Counts grpc_;
};

}  // namespace penstock::proxy
