// One request and its reply as they travel between a router and a replica: the metadata.
//
// Shared by proxy and handles (they write requests), replicas (they write replies), and the
// fuzzers. Views borrow from the frame they were parsed from.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace penstock::base {

// Who asks, and so which shape the reply has.
enum class CallKind : std::uint8_t {
  kHttp = 1,       // from a proxy: an HTTP request; the reply has a status, headers and a body
  kCall = 2,       // from a handle: a method call; arguments and result are opaque bytes
  kWebSocket = 3,  // from a proxy: status 101 accepts it, then bodies are messages (ws_message.h)
  kGrpc = 4,       // from a proxy: bodies are gRPC messages (docs/design/grpc.md)
};

// RequestHead::flags, a bit set.
inline constexpr std::uint8_t kStreamReply = 1;    // the caller wants the items of a generator
inline constexpr std::uint8_t kStreamRequest = 2;  // of kGrpc: any number of messages come
inline constexpr std::uint8_t kHold = 4;    // takes a slot; the body is the whole request for it
inline constexpr std::uint8_t kSecure = 8;  // it came over TLS

// The head of a kRequest frame.
struct RequestHead {
  using Header = std::pair<std::string_view, std::string_view>;

  CallKind kind = CallKind::kHttp;
  std::uint8_t flags = 0;
  std::string_view request_id;            // the client's, or made by the proxy
  std::string_view app;                   // application the request entered by
  std::string_view route;                 // route prefix, "" when it came through a handle
  std::string_view root_path;             // ASGI root_path: what of the path is not the app's
  std::string_view multiplexed_model_id;  // "" when none
  std::string_view session_id;            // "" when none
  std::string_view method;                // HTTP method, or the name of the method to call

  // kGrpc only: import path of the function that knows the types of the messages.
  std::string_view servicer;

  // Not of kCall; empty there.
  std::string_view target;        // path and query as received
  std::string_view http_version;  // "1.1"
  std::string_view client;        // "host:port" of the peer
  std::string_view server;        // "host:port" that accepted
  std::vector<Header> headers;    // names in lower case, in the order received
};

// Appends `head` to `out`; a body may follow it there.
void AppendRequestHead(std::string& out, const RequestHead& head);

// Parses the front of `payload`, leaving the inline body in `body`. False when malformed.
bool ParseRequestHead(std::string_view payload, RequestHead& head, std::string_view& body);

// What routers look at in a request.
struct RoutingKeys {
  std::string_view multiplexed_model_id;
  std::string_view session_id;
};

// Read from the front of a request's payload. Empty where it names none, or is malformed.
RoutingKeys ParseRoutingKeys(std::string_view payload);

// The head of a kReply frame to a kHttp or kWebSocket request. A reply to kCall has none; in one to
// kGrpc it is what frames of metadata hold.
struct ReplyHead {
  using Header = std::pair<std::string_view, std::string_view>;

  std::uint16_t status = 200;
  std::vector<Header> headers;  // names in lower case
};

// Appends `head` to `out`; a body may follow it there.
void AppendReplyHead(std::string& out, const ReplyHead& head);

// As ParseRequestHead.
bool ParseReplyHead(std::string_view payload, ReplyHead& head, std::string_view& body);

}  // namespace penstock::base
