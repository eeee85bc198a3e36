#include "proxy/http_parser.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace penstock::proxy {
namespace {

using testing::ElementsAre;
using testing::Pair;

// Keeps the head as views, as a careless user would.
class Kept final : public HttpParser::Sink {
 public:
  void OnHead(const HttpHead& told) override { head = told; }
  void OnBodyPiece(std::string_view piece) override { body += piece; }
  void OnEnd() override { ++ends; }

  HttpHead head;
  std::string body;
  int ends = 0;
};

class HttpParserTest : public testing::Test {
 protected:
  Kept kept_;
  HttpParser parser_{kept_};
};

TEST_F(HttpParserTest, NamesAreLoweredAndValuesAreNot) {
  const auto outcome = parser_.Feed("GET /A HTTP/1.1\r\nHoSt: EXample\r\nEmpty:\r\n\r\nrest");
  EXPECT_TRUE(outcome.paused);
  EXPECT_EQ(outcome.consumed, 42u);
  EXPECT_EQ(kept_.head.target, "/A");
  EXPECT_THAT(kept_.head.headers, ElementsAre(Pair("host", "EXample"), Pair("empty", "")));
}

TEST_F(HttpParserTest, TrailersAreDroppedAndLeaveTheHeadAlone) {
  const std::string trailer(60'000, 't');
  parser_.Feed(
      "POST /target HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n");
  parser_.Feed("x-trailer: " + trailer + "\r\n\r\n");
  EXPECT_EQ(kept_.ends, 1);
  EXPECT_EQ(kept_.body, "ok");
  EXPECT_EQ(kept_.head.target, "/target");
  EXPECT_THAT(kept_.head.headers,
              ElementsAre(Pair("host", "h"), Pair("transfer-encoding", "chunked")));
}

TEST_F(HttpParserTest, EndlessTrailersAreRefused) {
  parser_.Feed("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n");
  HttpParser::Outcome outcome;
  for (int i = 0; i < 100 && outcome.error_status == 0; ++i) {
    outcome = parser_.Feed("a: " + std::string(1000, 'x') + "\r\n");
  }
  EXPECT_EQ(outcome.error_status, 431);
}

TEST_F(HttpParserTest, TheNumberOfHeadersIsLimited) {
  std::string head = "GET / HTTP/1.1\r\n";
  for (std::size_t i = 0; i < HttpParser::kMaxHeaders; ++i) head += "a: b\r\n";
  EXPECT_TRUE(parser_.Feed(head + "\r\n").paused);
  parser_.Resume();
  EXPECT_EQ(parser_.Feed(head + "one: more\r\n\r\n").error_status, 431);
}

TEST_F(HttpParserTest, WhatIsNoHttp1IsRefused) {
  for (const std::string head :
       {"GET / HTTP/0.9\r\n", "GET / HTTP/2.0\r\n",
        "GET / HTTP/1.1\r\nTransfer Encoding: chunked\r\n", "GET / HTTP/1.1\r\nName : x\r\n",
        "GET / HTTP/1.1\r\n(a): x\r\n", "GET / HTTP/1.1\r\n: x\r\n",
        "GET / HTTP/1.1\r\nA: b\r\n:x\r\n", "GET / HTTP/1.1\r\nA: b\rC: d\r\n"}) {
    Kept kept;
    HttpParser parser(kept);
    EXPECT_EQ(parser.Feed(head + "\r\n").error_status, 400) << head;
    EXPECT_EQ(kept.ends, 0);
  }
}

TEST_F(HttpParserTest, ThePrefaceOfHttp2IsOneOnlyToTheLetter) {
  for (const auto& [preface, is] : {std::pair("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", true),
                                    std::pair("PRI * HTTP/1.0\r\n\r\nSM\r\n\r\n", false),
                                    std::pair("PRI * HTTP/2.1\r\n\r\nSM\r\n\r\n", false),
                                    std::pair("PRI /x HTTP/2.0\r\n\r\nSM\r\n\r\n", false)}) {
    Kept kept;
    HttpParser parser(kept);
    const auto outcome = parser.Feed(preface);
    EXPECT_EQ(outcome.http2, is) << preface;
    EXPECT_EQ(outcome.error_status, is ? 0 : 400) << preface;
  }
}

TEST_F(HttpParserTest, AChunkEndsWithALineBreakAndNothingElse) {
  const std::string head = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
  for (const std::string body :
       {"5\r\nhelloXX0\r\n\r\n", "5\r\nhello\rX0\r\n\r\n", "5\r\nhello\n\n0\r\n\r\n"}) {
    for (const std::size_t step : {std::size_t{1}, std::size_t{1000}}) {
      Kept kept;
      HttpParser parser(kept);
      int status = 0;
      const std::string bytes = head + body;
      for (std::string_view rest = bytes; !rest.empty() && status == 0;) {
        status = parser.Feed(rest.substr(0, step)).error_status;
        rest.remove_prefix(std::min(step, rest.size()));
      }
      EXPECT_EQ(status, 400) << body << " in pieces of " << step;
      EXPECT_EQ(kept.ends, 0);
    }
  }
}

TEST_F(HttpParserTest, AHeadInPiecesIsTheSameHead) {
  for (const char c :
       std::string("PUT /long/path HTTP/1.0\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc")) {
    EXPECT_EQ(parser_.Feed({&c, 1}).error_status, 0);
  }
  EXPECT_EQ(kept_.head.target, "/long/path");
  EXPECT_EQ(kept_.head.version, "1.0");
  EXPECT_EQ(kept_.body, "abc");
}

}  // namespace
}  // namespace penstock::proxy
