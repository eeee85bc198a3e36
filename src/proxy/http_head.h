// The head of a request, whichever version of HTTP it came by.
#pragma once

#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

namespace penstock::proxy {

// Views are borrowed from whoever parsed it.
struct HttpHead {
  std::string_view method;   // "GET"
  std::string_view target;   // as received: path and query, or an absolute URI
  std::string_view version;  // "1.1", "1.0" or "2"
  std::vector<std::pair<std::string_view, std::string_view>> headers;  // names in lower case
  bool keep_alive = false;
  bool chunked = false;              // a body of unknown length follows
  bool upgrade = false;              // asks for another protocol
  bool expects_continue = false;     // waits for "100 Continue" before it sends the body
  std::uint64_t content_length = 0;  // 0 when absent
};

}  // namespace penstock::proxy
