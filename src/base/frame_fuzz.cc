// A byte stream as it comes from a peer that is not one of ours.
#include <string>

#include "base/frame.h"
#include "support/fuzz.h"

namespace penstock::base {
namespace {

using State = ParsedFrame::State;

constexpr std::size_t kMaxPayload = 4096;

// What was parsed is what a writer would have sent.
void CheckFrame(std::string_view bytes, const ParsedFrame& parsed) {
  const Frame& frame = parsed.frame;
  PENSTOCK_CHECK(frame.payload.size() == frame.head.length);
  PENSTOCK_CHECK(frame.head.length <= kMaxPayload);
  PENSTOCK_CHECK(frame.head.kind >= FrameKind::kHello && frame.head.kind <= FrameKind::kStats);
  std::string written;
  AppendHead(written, frame.head);
  written += frame.payload;
  PENSTOCK_CHECK(written == bytes.substr(0, parsed.size));
}

// A frame cut short asks for more than there is, and never for more than the frame.
void CheckPrefix(std::string_view bytes, std::size_t cut, const ParsedFrame& whole) {
  const auto parsed = ParseFrame(bytes.substr(0, cut), kMaxPayload);
  PENSTOCK_CHECK(parsed.state == State::kIncomplete);
  PENSTOCK_CHECK(parsed.size > cut && parsed.size <= whole.size);
}

}  // namespace
}  // namespace penstock::base

PENSTOCK_FUZZ(input) {
  using namespace penstock::base;
  const std::size_t where = input.Byte();
  std::string_view bytes = input.rest();
  while (true) {
    const auto parsed = ParseFrame(bytes, kMaxPayload);
    if (parsed.state == State::kIncomplete) {
      PENSTOCK_CHECK(parsed.size > bytes.size());
      PENSTOCK_CHECK(parsed.size <= FrameHead::kSize + kMaxPayload);
      return;
    }
    if (parsed.state == State::kBroken) {
      PENSTOCK_CHECK(!parsed.error.empty());
      // It stays broken whatever follows: closing the connection is the only way out.
      PENSTOCK_CHECK(ParseFrame(bytes.substr(0, FrameHead::kSize), kMaxPayload).state ==
                     State::kBroken);
      return;
    }
    CheckFrame(bytes, parsed);
    CheckPrefix(bytes, where % parsed.size, parsed);
    bytes.remove_prefix(parsed.size);
  }
}
