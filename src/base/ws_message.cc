#include "base/ws_message.h"

#include "base/wire.h"

namespace penstock::base {
namespace {

constexpr std::size_t kHead = 5;

bool IsKind(std::uint8_t byte) { return byte >= 1 && byte <= 3; }

}  // namespace

void AppendWsMessage(std::string& out, const WsMessage& message) {
  WireWriter writer(out);
  const bool close = message.kind == WsKind::kClose;
  writer.Put(static_cast<std::uint8_t>(message.kind));
  writer.Put(static_cast<std::uint32_t>(message.data.size() + (close ? 2 : 0)));
  if (close) writer.Put(message.code);
  out += message.data;
}

void WsMessageReader::Feed(std::string_view piece) {
  bytes_.erase(0, at_);
  at_ = 0;
  bytes_ += piece;
}

std::optional<WsMessage> WsMessageReader::Next() {
  const std::string_view rest = std::string_view(bytes_).substr(at_);
  if (broken_ || rest.size() < kHead) return std::nullopt;
  WireReader head(rest);
  const auto kind = head.Get<std::uint8_t>();
  const auto size = head.Get<std::uint32_t>();
  const bool close = kind == static_cast<std::uint8_t>(WsKind::kClose);
  if (!IsKind(kind) || size > kMaxWsMessage || (close && size < 2)) {
    broken_ = true;
    return std::nullopt;
  }
  if (rest.size() - kHead < size) return std::nullopt;
  at_ += kHead + size;
  WsMessage message{.kind = static_cast<WsKind>(kind), .data = rest.substr(kHead, size)};
  if (close) {
    message.code = WireReader(message.data).Get<std::uint16_t>();
    message.data.remove_prefix(2);
  }
  return message;
}

}  // namespace penstock::base
