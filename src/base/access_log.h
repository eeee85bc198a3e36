// The access log: a line a request in Ray Serve's format, written in blocks.
//
//   INFO 2026-11-23 19:41:20,880 proxy 127.0.0.1 <request id> -- GET /conv 200 3.3ms
//
// or the same as an object of JSON. The proxy's and the replicas'.
//
// Thread: the loop's.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/block_log.h"
#include "penstock/status.h"

namespace penstock::base {

struct AccessLogOptions {
  BlockLogOptions file;   // without a path nothing is written
  std::string component;  // "proxy", "<app>_<deployment>"
  std::string id;         // of the node, the replica
  bool json = false;
  std::vector<std::pair<std::string, std::string>> fields;  // of every object of JSON

  friend bool operator==(const AccessLogOptions&, const AccessLogOptions&) = default;
};

class AccessLog {
 public:
  // One finished request.
  struct Entry {
    std::string_view request_id;
    std::string_view method;      // "GET", "WS", "CALL"
    std::string_view target;      // route, or the path when none matched; a call's method
    std::string_view status;      // "200", "OK"
    std::string_view route = {};  // "" when none matched
    std::string_view app = {};
    std::string_view model_id = {};
    Duration latency{};
  };

  explicit AccessLog(Loop& loop) : loop_(loop), log_(loop) {}

  // From now on. kInternal when the file cannot be opened; then nothing is written.
  Status Configure(const AccessLogOptions& options);

  // Notes a request. The line reaches the file within a tenth of a second.
  void Note(const Entry& entry);

  // Writes out what is buffered, and begins a new file if this one has grown too large.
  void Flush();

 private:
  void ReadClock();
  void AppendText(const Entry& entry);
  void AppendJson(const Entry& entry);

  Loop& loop_;
  AccessLogOptions options_;
  BlockLog log_;
  std::string fields_;  // options_.fields as JSON
  double now_ = 0;
  std::int64_t second_ = -1;  // that `time_` was made for
  std::string time_;          // "2026-11-23 19:41:20,880"
};

// Appends `text` with every control character as "?": a line stays one line.
void AppendPlain(std::string& out, std::string_view text);

// Appends `text` as a string of JSON; what is no UTF-8 is replaced.
void AppendJsonString(std::string& out, std::string_view text);

}  // namespace penstock::base
