// What a replica tells about its requests: a line in the access log, and counts.
//
// On the path of every request, so it keeps plain numbers; samples are made when asked for.
//
// Thread: the replica's loop.
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "base/access_log.h"
#include "base/loop.h"
#include "base/metrics.h"
#include "penstock/status.h"

namespace penstock::replica {

class Call;

class Telemetry {
 public:
  explicit Telemetry(base::Loop& loop) : loop_(loop), access_log_(loop) {}

  // Whose lines and samples these are, and how to log, as in `replica.init`
  // (docs/design/control-protocol.md). kInternal when the log cannot be opened.
  Status Begin(const nlohmann::json& assignment);

  // Another way to log from now on: `logging` as in `replica.reconfigure`.
  Status SetLogging(const nlohmann::json& logging);

  // A request was answered, or will not be.
  void OnAnswered(const Call& call);

  // `ongoing`: requests that run now.
  std::vector<base::MetricFamily> Metrics(int ongoing) const;

  // Writes out what is buffered, and begins a new file if the log has grown too large.
  void Flush() { access_log_.Flush(); }

 private:
  // The longest of the last minute, in halves: the one that is filling and the one before.
  struct Longest {
    void Note(double ms, TimePoint now);
    double Value(TimePoint now) const;

    TimePoint since{};  // of the half that is filling
    double current = 0;
    double before = 0;
  };
  struct Route {
    std::uint64_t succeeded = 0;
    std::map<std::string, std::uint64_t, std::less<>> failed;  // by type of exception
    base::Histogram latency_ms{base::LatencyBounds()};
    Longest longest_ms;
  };

  Route& RouteOf(std::string_view name);
  void Count(const Call& call, TimePoint now);
  void Log(const Call& call, TimePoint now);
  std::vector<std::string> Tags(std::vector<std::string> first) const;

  base::Loop& loop_;
  base::AccessLog access_log_;
  std::string app_;
  std::string deployment_;
  std::string replica_;
  std::string node_;
  std::string log_path_;  // of the instance
  std::map<std::string, Route, std::less<>> routes_;
  std::pair<const std::string, Route>* latest_ = nullptr;  // of routes_; most requests are alike
};

}  // namespace penstock::replica
