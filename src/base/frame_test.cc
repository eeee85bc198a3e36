#include "base/frame.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "base/heads.h"
#include "base/protocol.h"

namespace penstock::base {
namespace {

constexpr std::size_t kMax = 1 << 20;

std::string Encode(FrameHead head, std::string_view payload) {
  head.length = static_cast<std::uint32_t>(payload.size());
  std::string bytes;
  AppendHead(bytes, head);
  bytes += payload;
  return bytes;
}

TEST(Frame, EveryFieldSurvives) {
  const FrameHead head{.kind = FrameKind::kRefuse,
                       .flags = kEnd,
                       .aux = static_cast<std::uint16_t>(RefuseReason::kLeaving),
                       .stream = 0x01020304,
                       .ongoing = 77};
  const std::string bytes = Encode(head, "payload");
  const auto parsed = ParseFrame(bytes, kMax);
  ASSERT_EQ(parsed.state, ParsedFrame::State::kFrame);
  EXPECT_EQ(parsed.size, bytes.size());
  EXPECT_EQ(parsed.frame.payload, "payload");
  EXPECT_EQ(parsed.frame.head.kind, FrameKind::kRefuse);
  EXPECT_EQ(parsed.frame.head.flags, kEnd);
  EXPECT_EQ(parsed.frame.head.aux, 2);
  EXPECT_EQ(parsed.frame.head.stream, 0x01020304u);
  EXPECT_EQ(parsed.frame.head.ongoing, 77u);
}

TEST(Frame, EveryPrefixIsIncompleteAndSaysWhatItNeeds) {
  const std::string bytes = Encode({.kind = FrameKind::kBody}, "0123456789");
  for (std::size_t n = 0; n < bytes.size(); ++n) {
    const auto parsed = ParseFrame(std::string_view(bytes).substr(0, n), kMax);
    EXPECT_EQ(parsed.state, ParsedFrame::State::kIncomplete);
    EXPECT_EQ(parsed.size, n < FrameHead::kSize ? FrameHead::kSize : bytes.size());
  }
}

TEST(Frame, RefusesUnknownKindsAndOversizedPayloads) {
  std::string bytes = Encode({.kind = FrameKind::kBody}, "x");
  bytes[4] = 99;
  EXPECT_EQ(ParseFrame(bytes, kMax).error, "frame of unknown kind 99");
  bytes[4] = 0;
  EXPECT_EQ(ParseFrame(bytes, kMax).state, ParsedFrame::State::kBroken);
  EXPECT_EQ(ParseFrame(Encode({.kind = FrameKind::kBody}, "12345"), 4).error,
            "frame of 5 bytes, at most 4 are allowed");
}

RC_GTEST_PROP(Frame, ParserTakesAnyBytes, (const std::string& bytes)) {
  const auto parsed = ParseFrame(bytes, kMax);
  if (parsed.state == ParsedFrame::State::kFrame) RC_ASSERT(parsed.size <= bytes.size());
}

TEST(Exchange, HttpRequestHeadRoundTrips) {
  RequestHead head;
  head.kind = CallKind::kHttp;
  head.request_id = "id";
  head.app = "app";
  head.route = "/r";
  head.method = "POST";
  head.target = "/r/x?q=1";
  head.http_version = "1.1";
  head.client = "127.0.0.1:9";
  head.server = "127.0.0.1:8000";
  head.headers = {{"a", "1"}, {"b", ""}, {"a", "2"}};
  std::string bytes;
  AppendRequestHead(bytes, head);
  bytes += "body";
  RequestHead read;
  std::string_view body;
  ASSERT_TRUE(ParseRequestHead(bytes, read, body));
  EXPECT_EQ(body, "body");
  EXPECT_EQ(read.target, head.target);
  EXPECT_EQ(read.headers, head.headers);
  EXPECT_EQ(read.server, head.server);
}

TEST(Exchange, CallHeadHasNoHttpFields) {
  std::string bytes;
  AppendRequestHead(bytes, {.kind = CallKind::kCall, .flags = kStreamReply, .method = "predict"});
  RequestHead read;
  std::string_view body;
  ASSERT_TRUE(ParseRequestHead(bytes, read, body));
  EXPECT_EQ(read.method, "predict");
  EXPECT_EQ(read.flags, kStreamReply);
  EXPECT_TRUE(read.headers.empty());
}

TEST(Exchange, CutShortIsMalformed) {
  std::string bytes;
  AppendRequestHead(bytes, {.request_id = "id", .target = "/", .headers = {{"a", "b"}}});
  RequestHead read;
  std::string_view body;
  for (std::size_t n = 0; n < bytes.size(); ++n) {
    EXPECT_FALSE(ParseRequestHead(std::string_view(bytes).substr(0, n), read, body)) << n;
  }
}

TEST(Exchange, WhatRoutersLookAtIsReadFromTheFront) {
  std::string bytes;
  AppendRequestHead(bytes, {.kind = CallKind::kCall,
                            .request_id = "id",
                            .route = "/r",
                            .multiplexed_model_id = "model",
                            .session_id = "session",
                            .method = "predict"});
  EXPECT_EQ(ParseRoutingKeys(bytes + "body").multiplexed_model_id, "model");
  EXPECT_EQ(ParseRoutingKeys(bytes + "body").session_id, "session");
  EXPECT_EQ(ParseRoutingKeys(std::string_view(bytes).substr(0, 10)).multiplexed_model_id, "");
  EXPECT_EQ(ParseRoutingKeys("").session_id, "");
}

TEST(Models, RoundTrip) {
  const std::vector<std::string> models{"a", "", "with \xff bytes"};
  EXPECT_EQ(*DecodeModels(EncodeModels(models)), models);
  EXPECT_TRUE(DecodeModels("")->empty());
}

TEST(Models, CutShortIsAnError) {
  const std::string bytes = EncodeModels({"one", "two"});
  EXPECT_FALSE(DecodeModels(std::string_view(bytes).substr(0, bytes.size() - 1)).ok());
  EXPECT_FALSE(DecodeModels(std::string_view(bytes).substr(0, 2)).ok());
}

TEST(Models, NeverMoreThanAFrameTakes) {
  const std::vector<std::string> models(3, std::string(kMaxDataPayload / 2, 'm'));
  const std::string bytes = EncodeModels(models);
  EXPECT_LE(bytes.size(), kMaxDataPayload);
  EXPECT_EQ(DecodeModels(bytes)->size(), 1u);
}

RC_GTEST_PROP(Exchange, ReplyHeadParserTakesAnyBytes, (const std::string& bytes)) {
  ReplyHead head;
  std::string_view body;
  if (ParseReplyHead(bytes, head, body)) RC_ASSERT(body.size() <= bytes.size());
}

}  // namespace
}  // namespace penstock::base
