// What the proxy answers by itself (behaviour specification, 6.1).
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "penstock/units.h"
#include "route/exchange.h"
#include "route/router.h"

namespace penstock::proxy {

// A complete small reply. No content type when it is empty.
struct SimpleReply {
  int status = 200;
  std::string content_type;
  std::string body;
  std::string retry_after;  // value of the header, "" for none
};

inline constexpr std::string_view kPlainText = "text/plain; charset=utf-8";

// The reply to `/-/healthz` and `/-/routes`; nullopt for every other path. They are
// not logged.
std::optional<SimpleReply> BuiltinReply(std::string_view path, const route::Router& router);

// No route has a matching prefix.
SimpleReply NotFound(std::string_view path);

// This proxy has not heard from the controller: nobody can say what there is.
SimpleReply NotInformed();

// The request could not be answered by a replica.
SimpleReply ReplyTo(const route::Failure& failure);

// The deadline passed before the reply began. `timeout_s` as configured.
SimpleReply TimedOut(std::string_view request_id, double timeout_s);

// To bytes that are no request.
SimpleReply Unreadable(int status);

// The head of a request did not arrive in time.
SimpleReply HeadTimedOut(Duration limit);
SimpleReply BodyTimedOut(Duration limit);

// The body is larger than allowed.
SimpleReply TooLarge(std::uint64_t limit_bytes);

// Path of a request target: without query, without scheme and host, percent-decoded.
std::string DecodedPath(std::string_view target);

}  // namespace penstock::proxy
