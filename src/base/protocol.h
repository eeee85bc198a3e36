// The few numbers and small payloads that both ends of a data connection agree on.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/frame.h"
#include "penstock/status.h"

namespace penstock::base {

// Grows with every change that an older peer would misread.
inline constexpr std::uint32_t kProtocolVersion = 3;

// Largest payload of a frame between router and replica, in bytes.
inline constexpr std::size_t kMaxDataPayload = 1 << 20;

// Where no memory is shared bodies are cut to pieces of this size, in bytes; a piece and its head
// fit one read.
inline constexpr std::size_t kBodyPiece = (64 << 10) - FrameHead::kSize;

// Bytes of a body that may be under way unasked. The sender of a reply starts with this much;
// the sender of a request body waits for a first credit, which also says that it was admitted.
inline constexpr std::uint32_t kBodyWindow = 1 << 20;

// What a receiver has consumed is credited once it is this much: a frame for each small message of
// a stream would double the traffic, and the rest of the window is plenty meanwhile.
inline constexpr std::uint32_t kCreditStep = kBodyWindow / 8;

// What a peer says of itself first.
struct Hello {
  std::uint32_t version = kProtocolVersion;
  std::string role;  // "router", "replica"
};

FrameHead HelloHead();
std::string EncodeHello(const Hello& hello);

// kFailedPrecondition when the peer speaks another version.
Result<Hello> DecodeHello(std::string_view payload);

// The payload of a kCredit frame.
std::string EncodeCredit(std::uint32_t bytes);

// Zero when malformed.
std::uint32_t DecodeCredit(std::string_view payload);

// The payload of a kModels frame: model ids one after another. Those that do not fit a frame are
// left out: routers will not know of them.
std::string EncodeModels(const std::vector<std::string>& models);

// In the order sent; kInvalidArgument when malformed.
Result<std::vector<std::string>> DecodeModels(std::string_view payload);

}  // namespace penstock::base
