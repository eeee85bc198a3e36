#include "proxy/grpc_frames.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include <utility>
#include <vector>

namespace penstock::proxy {
namespace {

using Messages = std::vector<std::pair<std::uint8_t, std::string>>;

std::string Written(const Messages& messages) {
  std::string bytes;
  for (const auto& [flag, text] : messages) {
    AppendGrpcPrefix(bytes, flag, static_cast<std::uint32_t>(text.size()));
    bytes += text;
  }
  return bytes;
}

Messages Read(std::string_view bytes, std::size_t step, bool& inside) {
  GrpcFrames frames;
  Messages messages;
  while (!bytes.empty()) {
    std::string_view piece = bytes.substr(0, step);
    bytes.remove_prefix(piece.size());
    GrpcFrames::Part part;
    while (frames.Next(piece, part)) {
      if (part.first) messages.emplace_back(part.flag, "");
      messages.back().second += part.bytes;
      EXPECT_EQ(part.last, messages.back().second.size() == part.size);
    }
    EXPECT_TRUE(piece.empty());
  }
  inside = frames.inside();
  return messages;
}

RC_GTEST_PROP(GrpcFrames, AreFoundHoweverTheyAreCut, (const Messages& messages)) {
  const auto step = *rc::gen::inRange<std::size_t>(1, 40);
  bool inside = true;
  RC_ASSERT(Read(Written(messages), step, inside) == messages);
  RC_ASSERT(!inside);
}

TEST(GrpcFrames, AStreamThatIsCutIsInsideAMessage) {
  const std::string bytes = Written({{kGrpcPlain, "abc"}});
  for (std::size_t n = 1; n < bytes.size(); ++n) {
    bool inside = false;
    Read(std::string_view(bytes).substr(0, n), 100, inside);
    EXPECT_TRUE(inside) << n;
  }
}

}  // namespace
}  // namespace penstock::proxy
