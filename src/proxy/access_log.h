// The access log: a line a request in Ray Serve's format, written in blocks.
//
//   INFO 2026-11-23 19:41:20,880 proxy 127.0.0.1 <request id> -- GET /conv 200 3.3ms
//
// Thread: the proxy's loop.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/fd.h"
#include "base/loop.h"
#include "penstock/status.h"

namespace penstock::proxy {

class AccessLog {
 public:
  // One finished request.
  struct Entry {
    std::string_view request_id;
    std::string_view method;
    std::string_view route;  // route prefix, or the path when none matched
    int status = 0;
    std::string_view status_name;  // said instead of the number, "" for none
    Duration latency{};
  };

  // Appends to `path`; "" for no log. Rotates like Ray: 512 MiB, five files. `node` names the
  // proxy's node in each line.
  AccessLog(base::Loop& loop, std::string path, std::string node);
  ~AccessLog();

  AccessLog(const AccessLog&) = delete;
  AccessLog& operator=(const AccessLog&) = delete;

  // Notes a request. The line reaches the file within a second.
  void Note(const Entry& entry);

  // Writes out what is buffered.
  void Flush();

 private:
  void AppendTime();
  void Rotate();

  base::Loop& loop_;
  std::string path_;
  std::string node_;
  base::UniqueFd file_;
  std::uint64_t size_ = 0;
  std::string buffer_;
  std::int64_t second_ = -1;  // that `prefix_` was made for
  std::string prefix_;        // "INFO 2026-11-23 19:41:20,"
  base::Loop::TimerId timer_ = 0;
};

}  // namespace penstock::proxy
