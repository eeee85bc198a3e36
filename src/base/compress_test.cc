#include "base/compress.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

namespace penstock::base {
namespace {

RC_GTEST_PROP(Compress, ComesBackAsItWas, (const std::string& text, bool gzip)) {
  const char* const encoding = gzip ? "gzip" : "deflate";
  const auto small = Compress(encoding, text);
  RC_ASSERT(small.ok());
  const auto back = Decompress(encoding, *small, text.size());
  RC_ASSERT(back.ok());
  RC_ASSERT(*back == text);
}

TEST(Compress, LargeBytesComeBack) {
  std::string text;
  for (int i = 0; i < 300'000; ++i) text += std::to_string(i);
  for (const char* encoding : {"gzip", "deflate"}) {
    const auto small = Compress(encoding, text);
    ASSERT_TRUE(small.ok());
    EXPECT_LT(small->size(), text.size() / 2);
    EXPECT_EQ(*Decompress(encoding, *small, text.size()), text);
  }
}

TEST(Compress, WhatGrowsBeyondTheLimitIsRefused) {
  const auto bomb = Compress("gzip", std::string(10'000'000, 'a'));
  ASSERT_LT(bomb->size(), 20'000u);
  EXPECT_EQ(Decompress("gzip", *bomb, 1'000'000).status().code(), Code::kResourceExhausted);
}

TEST(Compress, BytesOfAnotherKindAreRefused) {
  const std::string zlib = *Compress("deflate", "text");
  EXPECT_EQ(Decompress("gzip", zlib, 100).status().code(), Code::kInvalidArgument);
  EXPECT_EQ(Decompress("deflate", zlib.substr(0, 5), 100).status().code(), Code::kInvalidArgument);
  EXPECT_EQ(Decompress("deflate", zlib + "x", 100).status().code(), Code::kInvalidArgument);
  EXPECT_EQ(Decompress("deflate", "", 100).status().code(), Code::kInvalidArgument);
  EXPECT_EQ(Decompress("snappy", zlib, 100).status().code(), Code::kInvalidArgument);
}

}  // namespace
}  // namespace penstock::base
