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
  // One finished request.
  struct Entry {
    std::string_view request_id;
    std::string_view method;
    std::string_view route;  // route prefix, or the path when none matched
    int status = 0;          // or the code with which a WebSocket was closed
    Duration latency{};
    const DeploymentId* deployment = nullptr;  // nullptr when no route matched
  };

  // Lines begin with the proxy's node.
  RequestLog(base::Loop& loop, std::string node) : access_log_(loop), node_(std::move(node)) {}

  // Where lines go from now on: a file ("" for none), in text or JSON. kInternal when it cannot be
  // opened.
  Status SetFile(const std::string& path, bool json = false);

  // Notes a request. What the proxy answers by itself is counted and not logged.
  void Note(const Entry& entry);

  // `ongoing`: requests under way now.
  std::vector<base::MetricFamily> Metrics(std::size_t ongoing) const;

 private:
  struct Key {
    std::string app;
    std::string deployment;
    std::string route;
    std::string method;
    int status = 0;
    friend auto operator<=>(const Key&, const Key&) = default;
  };
  struct Series {
    std::uint64_t count = 0;
    base::Histogram latency_ms{base::LatencyBounds()};
  };

  Series& SeriesOf(const Entry& entry);

  base::AccessLog access_log_;
  std::string node_;
  std::map<Key, Series> series_;
  std::pair<const Key, Series>* latest_ = nullptr;  // of series_; most requests are alike
};

}  // namespace penstock::proxy
