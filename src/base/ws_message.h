// Messages of a WebSocket as they travel in the bodies of a stream, both ways.
//
// A message is a byte that says its kind, four bytes of length (little-endian) and its data. That
// of a close is two bytes of code (little-endian) and the reason in UTF-8. Frames of the wire may
// cut a message anywhere.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace penstock::base {

enum class WsKind : std::uint8_t { kText = 1, kBinary = 2, kClose = 3 };

// Largest message, in bytes: what uvicorn allows.
inline constexpr std::size_t kMaxWsMessage = std::size_t{16} << 20;

// Codes of RFC 6455, section 7.4.1, that are said here.
inline constexpr std::uint16_t kWsNormal = 1000;
inline constexpr std::uint16_t kWsProtocolError = 1002;
inline constexpr std::uint16_t kWsAbnormal = 1006;  // never on a client's wire
inline constexpr std::uint16_t kWsServerError = 1011;

// A whole message. `data` is borrowed.
struct WsMessage {
  WsKind kind = WsKind::kText;
  std::string_view data;           // of a close: the reason
  std::uint16_t code = kWsNormal;  // of a close
};

// Appends `message` to `out`.
void AppendWsMessage(std::string& out, const WsMessage& message);

// Puts messages together from pieces.
class WsMessageReader {
 public:
  // Adds what arrived. Borrowed messages of before are gone.
  void Feed(std::string_view piece);

  // The next whole message; nullopt when there is none yet. It lives until the next Feed.
  std::optional<WsMessage> Next();

  // True once what arrived cannot be messages: a kind that does not exist, or one too large.
  bool broken() const { return broken_; }

 private:
  std::string bytes_;
  std::size_t at_ = 0;  // bytes_[0, at_) has been taken
  bool broken_ = false;
};

}  // namespace penstock::base
