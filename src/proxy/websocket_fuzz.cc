// A WebSocket client that sends any bytes, and a replica that sends any messages.
#include "proxy/websocket.h"

#include <string>

#include "support/fuzz.h"

namespace penstock::proxy {
namespace {

// What comes of a client's bytes in pieces of `step`.
struct Outcome {
  std::string to_client;
  std::string to_replica;
  bool closed = false;
  std::uint16_t code = 0;
};

Outcome Run(std::string_view client, std::size_t step) {
  Outcome outcome;
  WebSocket socket(outcome.to_client, outcome.to_replica);
  while (!client.empty() && !socket.client_closed()) {
    socket.FromClient(client.substr(0, step));
    client.remove_prefix(std::min(step, client.size()));
  }
  outcome.closed = socket.client_closed();
  outcome.code = socket.code();
  return outcome;
}

// The replica gets whole messages, nothing after a close, and one when the client is through.
void CheckMessages(const Outcome& outcome) {
  base::WsMessageReader reader;
  reader.Feed(outcome.to_replica);
  bool closed = false;
  std::size_t size = 0;
  while (const auto message = reader.Next()) {
    PENSTOCK_CHECK(!closed);
    closed = message->kind == base::WsKind::kClose;
    PENSTOCK_CHECK(!closed || message->code == outcome.code);
    std::string written;
    base::AppendWsMessage(written, *message);
    size += written.size();
  }
  PENSTOCK_CHECK(!reader.broken());
  PENSTOCK_CHECK(size == outcome.to_replica.size());
  PENSTOCK_CHECK(closed == outcome.closed);
}

// A server's frames are not masked, and a control frame is short.
void CheckFrames(std::string_view frames) {
  while (!frames.empty()) {
    PENSTOCK_CHECK(frames.size() >= 2);
    const auto first = static_cast<std::uint8_t>(frames[0]);
    std::size_t length = static_cast<std::uint8_t>(frames[1]);
    PENSTOCK_CHECK(length < 128 && (first & 0x70) == 0);
    PENSTOCK_CHECK((first & 8) == 0 || length < 126);
    std::size_t head = 2;
    const std::size_t extended = length == 126 ? 2 : length == 127 ? 8 : 0;
    if (extended > 0) length = 0;
    for (std::size_t i = 0; i < extended; ++i) {
      length = length << 8 | static_cast<std::uint8_t>(frames[head++]);
    }
    PENSTOCK_CHECK(frames.size() - head >= length);
    frames.remove_prefix(head + length);
  }
}

constexpr std::uint16_t kNotUtf8 = 1007;

bool IsMistake(std::uint16_t code) { return code == 1002 || code == kNotUtf8 || code == 1009; }

// What the replica gets before a close.
std::string BeforeClose(const Outcome& outcome) {
  base::WsMessageReader reader;
  reader.Feed(outcome.to_replica);
  std::string messages;
  while (const auto message = reader.Next()) {
    if (message->kind != base::WsKind::kClose) base::AppendWsMessage(messages, *message);
  }
  return messages;
}

// However the bytes were cut: the same messages, and the same end. Of two mistakes in one frame
// either may be the one that is named. wslay skips the first two bytes of each piece of a close
// when it looks for what is no UTF-8, so that a reason which is cut may be one that it takes for
// wrong, or find wrong later.
void CheckSame(const Outcome& a, const Outcome& b) {
  const bool mistaken = IsMistake(a.code) && IsMistake(b.code);
  const bool not_utf8 = a.code == kNotUtf8 || b.code == kNotUtf8;
  PENSTOCK_CHECK(a.code == b.code || mistaken || not_utf8);
  if (mistaken || not_utf8) {
    PENSTOCK_CHECK(BeforeClose(a) == BeforeClose(b));
  } else {
    PENSTOCK_CHECK(a.to_replica == b.to_replica);
  }
}

void CheckClient(std::string_view bytes, std::size_t step) {
  const Outcome whole = Run(bytes, bytes.size());
  CheckMessages(whole);
  CheckFrames(whole.to_client);
  const Outcome pieces = Run(bytes, step);
  CheckMessages(pieces);
  CheckFrames(pieces.to_client);
  CheckSame(whole, pieces);
}

void CheckReplica(std::string_view bytes, std::size_t step) {
  std::string to_client;
  std::string to_replica;
  WebSocket socket(to_client, to_replica);
  while (!bytes.empty()) {
    socket.FromReplica(bytes.substr(0, step));
    bytes.remove_prefix(std::min(step, bytes.size()));
  }
  if (!socket.closed()) socket.Close(base::kWsNormal);
  PENSTOCK_CHECK(socket.closed());
  PENSTOCK_CHECK(to_replica.empty());
  CheckFrames(to_client);
}

}  // namespace
}  // namespace penstock::proxy

PENSTOCK_FUZZ(input) {
  using namespace penstock::proxy;
  const bool client = input.Byte() % 2 == 0;
  const std::size_t step = 1 + input.Byte();
  if (client) return CheckClient(input.rest(), step);
  CheckReplica(input.rest(), step);
}
