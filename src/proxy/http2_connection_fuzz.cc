// Any client of HTTP/2 on a real connection of the proxy, for HTTP or gRPC, with a replica behind
// it that answers in several ways. Whatever frames come: what is sent back are frames, nothing is
// left behind when the client is gone, and the next client is served.
#include <string>

#include "support/fuzz_proxy.h"

namespace penstock::proxy {
namespace {

constexpr std::string_view kPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
constexpr std::size_t kFrameHead = 9;

std::size_t Byte(std::string_view text, std::size_t at) {
  return static_cast<unsigned char>(text[at]);
}

// True for whole frames of HTTP/2, SETTINGS first; the last one may be cut.
bool AreFrames(std::string_view text) {
  if (text.size() < kFrameHead) return text.empty();
  if (Byte(text, 3) != 4) return false;
  while (text.size() >= kFrameHead) {
    const std::size_t size = Byte(text, 0) << 16u | Byte(text, 1) << 8u | Byte(text, 2);
    if (size > 16384 || Byte(text, 3) > 10) return false;
    text.remove_prefix(std::min(text.size(), kFrameHead + size));
  }
  return true;
}

}  // namespace
}  // namespace penstock::proxy

PENSTOCK_FUZZ(input) {
  using namespace penstock::proxy;
  using namespace penstock::testing_support;
  static FuzzProxy setting;
  setting.replica.manner = static_cast<Manner>(input.Byte() % kManners);
  const bool grpc = input.Byte() % 2 == 1;
  const std::size_t step = 1 + std::size_t{input.Byte()} * 16;
  const std::string bytes = std::string(kPreface) + std::string(input.rest());
  const std::string text = setting.Talk(bytes, std::max(step, bytes.size() / 64), grpc);
  PENSTOCK_CHECK(AreFrames(text));
  setting.CheckNothingIsLeft();
  setting.replica.manner = Manner::kInline;
  const std::string good = setting.Talk("GET /x HTTP/1.1\r\nHost: h\r\n\r\n", 1000);
  PENSTOCK_CHECK(good.ends_with("\r\n\r\nbody"));
  setting.CheckNothingIsLeft();
}
