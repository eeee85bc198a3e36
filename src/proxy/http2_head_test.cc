#include "proxy/http2_head.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "proxy/http_parser.h"

namespace penstock::proxy {
namespace {

using testing::ElementsAre;
using testing::Pair;

TEST(Http2Head, BecomesAHeadOfHttp) {
  Http2Head fields;
  for (const auto& [name, value] : {std::pair{":method", "POST"},
                                    {":scheme", "http"},
                                    {":authority", "h:1"},
                                    {":path", "/a?b"},
                                    {"host", "other"},
                                    {"cookie", "a=1"},
                                    {"content-length", "12"},
                                    {"expect", "100-continue"},
                                    {"cookie", "b=2"}}) {
    fields.Add(name, value);
  }
  const HttpHead head = fields.Finish(/*ended=*/false);
  EXPECT_EQ(head.method, "POST");
  EXPECT_EQ(head.target, "/a?b");
  EXPECT_EQ(head.version, "2");
  EXPECT_EQ(head.content_length, 12u);
  EXPECT_TRUE(head.expects_continue);
  EXPECT_FALSE(head.chunked);
  EXPECT_FALSE(head.upgrade);
  EXPECT_THAT(head.headers,
              ElementsAre(Pair("host", "h:1"), Pair("content-length", "12"),
                          Pair("expect", "100-continue"), Pair("cookie", "a=1; b=2")));
}

TEST(Http2Head, ABodyWithoutALengthIsOfUnknownSize) {
  Http2Head open;
  open.Add(":method", "GET");
  EXPECT_TRUE(open.Finish(/*ended=*/false).chunked);
  EXPECT_FALSE(open.Finish(/*ended=*/true).chunked);
}

TEST(Http2Head, WithoutAnAuthorityTheHostIsTheHost) {
  Http2Head fields;
  fields.Add("host", "h");
  EXPECT_THAT(fields.Finish(true).headers, ElementsAre(Pair("host", "h")));
}

TEST(Http2Head, HasLimits) {
  Http2Head large;
  large.Add("a", std::string(HttpParser::kMaxHead, 'x'));
  EXPECT_TRUE(large.too_large());
  Http2Head many;
  for (std::size_t i = 0; i < HttpParser::kMaxHeaders; ++i) many.Add("a", "b");
  EXPECT_FALSE(many.too_large());
  many.Add("a", "b");
  EXPECT_TRUE(many.too_large());
}

}  // namespace
}  // namespace penstock::proxy
