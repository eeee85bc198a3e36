// Messages in the body of a gRPC stream: five bytes before each, a flag and its size.
//
// Between proxy and replica the same framing goes on, and two kinds of frames more, for the
// metadata of a reply (docs/design/grpc.md).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace penstock::proxy {

inline constexpr std::uint8_t kGrpcPlain = 0;
inline constexpr std::uint8_t kGrpcCompressed = 1;
inline constexpr std::uint8_t kGrpcTrailers = 0x80;  // the status and what goes with it
inline constexpr std::uint8_t kGrpcInitial = 0x81;   // metadata that goes before the messages

inline constexpr std::size_t kGrpcPrefix = 5;

// Appends the five bytes before a message of `size` bytes.
void AppendGrpcPrefix(std::string& out, std::uint8_t flag, std::uint32_t size);

// Finds the messages in bytes that are cut anywhere.
class GrpcFrames {
 public:
  // A part of a message, or all of it.
  struct Part {
    std::uint8_t flag = 0;
    std::uint32_t size = 0;  // of the whole message
    bool first = false;      // the message begins with it
    bool last = false;       // and ends
    std::string_view bytes;  // borrowed from the input
  };

  // Takes the next part off `bytes`. False when what is left is not a part: bytes are kept, and
  // more are needed. An empty message is a part without bytes.
  bool Next(std::string_view& bytes, Part& part);

  // True inside a message or its prefix: a stream that ends now was cut.
  bool inside() const { return head_ > 0; }

 private:
  std::array<char, kGrpcPrefix> prefix_{};
  std::size_t head_ = 0;  // bytes of the prefix that are here
  std::uint32_t size_ = 0;
  std::uint32_t left_ = 0;  // of the message
  bool begun_ = false;      // a part of it was given out
};

}  // namespace penstock::proxy
