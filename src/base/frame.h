// The wire between routers and replicas, and under the control protocol: length-prefixed frames.
//
// A frame is a fixed head of 16 bytes, little-endian, and `length` bytes of payload. Streams
// are multiplexed on one connection; a stream is one request and its reply, numbered by the
// router, upward from 1. docs/design/wire.md has the life of a stream.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "penstock/status.h"

namespace penstock::base {

// What a frame is. Values are the wire's and never change their meaning.
enum class FrameKind : std::uint8_t {
  kHello = 1,     // both ways, first on a connection: version and role
  kRequest = 2,   // router -> replica: request head; with kEnd the body follows it inline
  kBody = 3,      // both ways: a piece of a body
  kReply = 4,     // replica -> router: reply head; with kEnd the body follows it inline
  kCancel = 5,    // router -> replica: nobody waits for this stream any more
  kCredit = 6,    // both ways: the receiver of a body can take this many bytes more
  kRefuse = 7,    // replica -> router: not admitted, nothing ran; `aux` is a RefuseReason
  kGoAway = 8,    // replica -> router: leaving; streams above `stream` were not admitted
  kLoad = 9,      // replica -> router: a slot is free again, after a refusal
  kControl = 10,  // control protocol: a Message (base/message.h)
  kModels = 11,   // replica -> router: every model that it has or is loading (base/protocol.h)
  kRelease = 12,  // both ways: the shared slot `stream` was read (base/shared_slots.h)
  kStats = 13     // replica -> router: what its code tells routers, as JSON
};

// FrameHead::flags, a bit set.
inline constexpr std::uint8_t kEnd = 1;      // last frame of this direction of the stream
inline constexpr std::uint8_t kFailure = 2;  // the call raised; the body says what
inline constexpr std::uint8_t kMore = 4;     // the item goes on in the next frame of the stream
inline constexpr std::uint8_t kAdmit = 8;    // of a request: it may run beyond the replica's limit
inline constexpr std::uint8_t kShared =
    16;  // the payload begins with a slot's u32 index and u32 size
inline constexpr std::uint8_t kAnswered = 32;  // of a reply: it no longer counts as ongoing

// FrameHead::aux of kRefuse.
enum class RefuseReason : std::uint16_t { kFull = 1, kLeaving = 2 };

struct FrameHead {
  static constexpr std::size_t kSize = 16;

  std::uint32_t length = 0;  // bytes of payload
  FrameKind kind = FrameKind::kHello;
  std::uint8_t flags = 0;
  std::uint16_t aux = 0;      // by kind; zero elsewhere
  std::uint32_t stream = 0;   // zero: the connection itself
  std::uint32_t ongoing = 0;  // from a replica: requests that it runs now; zero elsewhere
};

// A received frame. Its bytes are borrowed: they live until the handler returns.
struct Frame {
  FrameHead head;
  std::string_view payload;
  std::string_view shared;  // what follows the payload, in memory that the peer shares; may change

  // Of a frame that is nothing but a piece of a body.
  std::string_view bytes() const { return shared.empty() ? payload : shared; }
};

// Appends the 16 bytes of `head` to `out`.
void AppendHead(std::string& out, const FrameHead& head);

// What the front of a byte stream holds.
struct ParsedFrame {
  enum class State { kIncomplete, kFrame, kBroken };
  State state = State::kIncomplete;
  Frame frame;           // kFrame: points into the input
  std::size_t size = 0;  // kFrame: bytes to consume; kIncomplete: bytes needed in all
  std::string error;     // kBroken: what is wrong with it
};

// Looks at the front of `bytes`. A kind that does not exist or a length beyond `max_payload`
// is kBroken: the peer is not one of ours, and the connection must be closed.
ParsedFrame ParseFrame(std::string_view bytes, std::size_t max_payload);

}  // namespace penstock::base
