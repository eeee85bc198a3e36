#include "base/frame.h"

#include <array>
#include <bit>
#include <cstring>

namespace penstock::base {
namespace {

static_assert(std::endian::native == std::endian::little, "the wire is little-endian");

template <class T>
T Load(std::string_view bytes, std::size_t at) {
  T value;
  std::memcpy(&value, bytes.data() + at, sizeof value);
  return value;
}

}  // namespace

void AppendHead(std::string& out, const FrameHead& head) {
  std::array<char, FrameHead::kSize> bytes;
  std::memcpy(bytes.data(), &head.length, 4);
  bytes[4] = static_cast<char>(head.kind);
  bytes[5] = static_cast<char>(head.flags);
  std::memcpy(bytes.data() + 6, &head.aux, 2);
  std::memcpy(bytes.data() + 8, &head.stream, 4);
  std::memcpy(bytes.data() + 12, &head.ongoing, 4);
  out.append(bytes.data(), bytes.size());
}

ParsedFrame ParseFrame(std::string_view bytes, std::size_t max_payload) {
  ParsedFrame parsed;
  parsed.size = FrameHead::kSize;
  if (bytes.size() < FrameHead::kSize) return parsed;
  FrameHead& head = parsed.frame.head;
  head.length = Load<std::uint32_t>(bytes, 0);
  const auto kind = Load<std::uint8_t>(bytes, 4);
  head.kind = static_cast<FrameKind>(kind);
  head.flags = Load<std::uint8_t>(bytes, 5);
  head.aux = Load<std::uint16_t>(bytes, 6);
  head.stream = Load<std::uint32_t>(bytes, 8);
  head.ongoing = Load<std::uint32_t>(bytes, 12);
  if (kind < static_cast<std::uint8_t>(FrameKind::kHello) ||
      kind > static_cast<std::uint8_t>(FrameKind::kStats)) {
    parsed.state = ParsedFrame::State::kBroken;
    parsed.error = "frame of unknown kind " + std::to_string(kind);
    return parsed;
  }
  if (head.length > max_payload) {
    parsed.state = ParsedFrame::State::kBroken;
    parsed.error = "frame of " + std::to_string(head.length) + " bytes, at most " +
                   std::to_string(max_payload) + " are allowed";
    return parsed;
  }
  parsed.size = FrameHead::kSize + head.length;
  if (bytes.size() < parsed.size) return parsed;
  parsed.state = ParsedFrame::State::kFrame;
  parsed.frame.payload = bytes.substr(FrameHead::kSize, head.length);
  return parsed;
}

}  // namespace penstock::base
