#include "proxy/token_bucket.h"

#include <gtest/gtest.h>

namespace penstock::proxy {
namespace {

TEST(TokenBucket, AllowsABurstAndThenARate) {
  TokenBucket bucket(3, 2);
  const TimePoint start = TimePoint{} + std::chrono::seconds(100);
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(bucket.Take(start)) << i;
  EXPECT_FALSE(bucket.Take(start));
  EXPECT_TRUE(bucket.Take(start + std::chrono::seconds(1)));
  EXPECT_FALSE(bucket.Take(start + std::chrono::seconds(1)));
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(bucket.Take(start + std::chrono::seconds(100))) << i;
  EXPECT_FALSE(bucket.Take(start + std::chrono::seconds(100))) << "no more than a burst is saved";
}

}  // namespace
}  // namespace penstock::proxy
