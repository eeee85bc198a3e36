#include "proxy/grpc_status.h"

#include <gtest/gtest.h>

namespace penstock::proxy {
namespace {

TEST(GrpcStatus, TimeoutsHaveAUnit) {
  const std::vector<std::pair<const char*, double>> cases = {
      {"1H", 3600}, {"2M", 120}, {"3S", 3}, {"700m", 0.7}, {"5u", 5e-6}, {"99999999n", 0.099999999},
      {"0S", 0}};
  for (const auto& [text, seconds] : cases) {
    const auto timeout = ParseGrpcTimeout(text);
    ASSERT_TRUE(timeout.has_value()) << text;
    EXPECT_NEAR(ToSeconds(*timeout), seconds, 1e-9) << text;
  }
  for (const char* text : {"", "S", "1", "1s", "1 S", "-1S", "123456789S", "1SS", "1.5S"}) {
    EXPECT_FALSE(ParseGrpcTimeout(text).has_value()) << text;
  }
}

TEST(GrpcStatus, MessagesArePercentEncoded) {
  EXPECT_EQ(EncodeGrpcMessage("no such app"), "no such app");
  EXPECT_EQ(EncodeGrpcMessage("100%\n\xc3\xa9"), "100%25%0A%C3%A9");
}

TEST(GrpcStatus, CodesHaveNames) {
  EXPECT_EQ(GrpcCodeName(0), "OK");
  EXPECT_EQ(GrpcCodeName(16), "UNAUTHENTICATED");
  EXPECT_EQ(GrpcCodeName(17), "UNKNOWN");
  EXPECT_EQ(GrpcCodeName(-1), "UNKNOWN");
}

}  // namespace
}  // namespace penstock::proxy
