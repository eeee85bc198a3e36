#include "base/message.h"

#include <gtest/gtest.h>

#include "base/wire.h"

namespace penstock::base {
namespace {

// The answer to a payload that holds `text`.
Status Decoded(const std::string& text) {
  std::string payload;
  WireWriter(payload).PutString(text);
  return DecodeMessage(payload).status();
}

std::string Nested(std::size_t depth) { return std::string(depth, '[') + std::string(depth, ']'); }

TEST(Message, SurvivesTheTrip) {
  const Message message{{{"text", "\"[[\\"}, {"list", {1, nullptr}}}, std::string("\0[{", 3)};
  const auto decoded = DecodeMessage(EncodeMessage(message));
  ASSERT_TRUE(decoded.ok());
  EXPECT_EQ(decoded->json, message.json);
  EXPECT_EQ(decoded->blob, message.blob);
}

TEST(Message, GarbageIsRefusedInWords) {
  EXPECT_EQ(DecodeMessage("\x05\0\0").status().message(), "control message is cut short");
  EXPECT_EQ(Decoded("{\"a\":").message(), "control message is not JSON");
}

TEST(Message, NestingHasALimit) {
  EXPECT_TRUE(Decoded(Nested(500)).ok());
  EXPECT_EQ(Decoded(Nested(501)), InvalidArgument("control message is nested too deeply"));
  EXPECT_EQ(Decoded(std::string(10'000'000, '{')).code(), Code::kInvalidArgument);
  // Brackets of a string, and those that were closed, do not count.
  EXPECT_TRUE(Decoded("\"" + Nested(1000) + "\\\"" + Nested(1000) + "\"").ok());
  std::string flat = "[0";
  for (int i = 0; i < 1000; ++i) flat += ",[]";
  EXPECT_TRUE(Decoded(flat + "]").ok());
}

TEST(Message, WholeTakesWholeNumbersOnly) {
  EXPECT_EQ(Whole<int>(Json(-5)), -5);
  EXPECT_EQ(Whole<std::uint64_t>(Json(std::uint64_t{7})), 7u);
  for (const Json& field : {Json(1.5), Json(1e30), Json("1"), Json(true), Json()}) {
    EXPECT_THROW(Whole<int>(field), Json::exception) << field;
  }
}

TEST(Message, EveryCodeHasAName) {
  for (const Code code : {Code::kOk, Code::kNotFound, Code::kInternal, Code::kUnimplemented}) {
    EXPECT_EQ(CodeFromName(CodeName(code)), code);
  }
  EXPECT_EQ(CodeFromName("?"), Code::kInternal);
}

}  // namespace
}  // namespace penstock::base
