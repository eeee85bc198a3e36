// Writing HTTP/1.1 replies: the head, and the framing of the body.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/heads.h"

namespace penstock::proxy {

// How a body is delimited.
enum class Framing {
  kNone,     // the status or the method allows no body
  kLength,   // content-length
  kChunked,  // transfer-encoding: chunked
  kClose,    // until the connection ends: HTTP/1.0
};

// What the framing of a reply follows from.
struct ResponseContext {
  bool head_request = false;  // HEAD: the head of the reply, without its body
  bool http_1_0 = false;
  bool keep_alive = true;
  std::string_view date;        // RFC 9110 IMF-fixdate
  std::string_view request_id;  // echoed
};

// Appends the head of a reply and says how its body is to be written. `body_size` when the body
// is complete; absent for a stream. Hop-by-hop headers of the application are dropped, `date`
// and `server` are added unless it set them.
Framing AppendResponseHead(std::string& out, const base::ReplyHead& head,
                           std::optional<std::size_t> body_size, const ResponseContext& context);

// Appends the head that turns the connection into a WebSocket. `accept`: of its handshake.
void AppendUpgradeHead(std::string& out, const base::ReplyHead& head, std::string_view accept,
                       const ResponseContext& context);

// Appends a piece of a body as `framing` wants it. Empty pieces write nothing.
void AppendBody(std::string& out, Framing framing, std::string_view piece);

// Appends what ends a body.
void AppendBodyEnd(std::string& out, Framing framing);

// False for a status whose replies have no body.
bool AllowsBody(int status);

// "OK" for 200; "" for a status that has no name.
std::string_view ReasonPhrase(int status);

// `unix_seconds` as in a Date header.
std::string HttpDate(std::int64_t unix_seconds);

}  // namespace penstock::proxy
