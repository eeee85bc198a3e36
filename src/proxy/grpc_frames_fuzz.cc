// The framing of gRPC: any bytes are messages as far as they go, however they are cut; timeouts
// and messages of a status are within their grammar.
#include "proxy/grpc_frames.h"

#include <string>

#include "proxy/grpc_status.h"
#include "support/fuzz.h"

namespace penstock::proxy {
namespace {

// Everything that was found, written again.
std::string Again(std::string_view bytes, std::size_t step, std::size_t& messages) {
  GrpcFrames frames;
  std::string out;
  std::size_t left = 0;
  while (!bytes.empty()) {
    std::string_view piece = bytes.substr(0, step);
    bytes.remove_prefix(piece.size());
    GrpcFrames::Part part;
    while (frames.Next(piece, part)) {
      PENSTOCK_CHECK(part.first == (left == 0));
      if (part.first) {
        AppendGrpcPrefix(out, part.flag, part.size);
        left = part.size;
      }
      PENSTOCK_CHECK(part.bytes.size() <= left);
      left -= part.bytes.size();
      PENSTOCK_CHECK(part.last == (left == 0));
      out += part.bytes;
      if (part.last) ++messages;
    }
    PENSTOCK_CHECK(piece.empty());
  }
  return out;
}

}  // namespace
}  // namespace penstock::proxy

PENSTOCK_FUZZ(input) {
  using namespace penstock::proxy;
  const std::size_t step = 1 + std::size_t{input.Byte()};
  const std::string_view bytes = input.rest();
  std::size_t messages = 0;
  std::size_t whole = 0;
  const std::string cut = Again(bytes, step, messages);
  PENSTOCK_CHECK(cut == Again(bytes, bytes.size() + 1, whole));
  PENSTOCK_CHECK(messages == whole);
  PENSTOCK_CHECK(bytes.starts_with(cut) && bytes.size() - cut.size() < kGrpcPrefix);
  if (const auto timeout = ParseGrpcTimeout(bytes)) PENSTOCK_CHECK(timeout->count() >= 0);
  for (const char c : EncodeGrpcMessage(bytes)) PENSTOCK_CHECK(c >= 0x20 && c <= 0x7e);
}
