#include "app/scale_lines.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace penstock::app {
namespace {

constexpr char kConfig[] = "CFG startup_s=30 max_ongoing=2 wait_slo_s=1 min=1 max=60";

TEST(ScaleLines, AnswerEachTickWithinTheBounds) {
  auto scaler = LineScaler::Open(kConfig, {}, false);
  ASSERT_TRUE(scaler.ok()) << scaler.status().message();
  EXPECT_EQ(*scaler->Tick("1 0 0 0 0 1 0 1"), 1);
  int target = 1;
  for (int t = 2; t < 40; ++t) {
    target = *scaler->Tick(std::to_string(t) + " 100 2 500 2 1 0 1");
    ASSERT_GE(target, 1);
    ASSERT_LE(target, 60);
  }
  EXPECT_EQ(target, 60) << "five hundred wait";
}

TEST(ScaleLines, SayWhatIsWrong) {
  const auto error = [](const std::string& line) {
    const auto scaler = LineScaler::Open(line, {}, false);
    return scaler.ok() ? std::string() : scaler.status().message();
  };
  EXPECT_THAT(error("max=1"), testing::HasSubstr("must begin with CFG"));
  EXPECT_THAT(error("CFG startup_s=30 max_ongoing=2 wait_slo_s=1 min=1"),
              testing::HasSubstr("max: missing"));
  EXPECT_THAT(error("CFG startup_s=30 max_ongoing=x wait_slo_s=1 min=1 max=2"),
              testing::HasSubstr("max_ongoing: 'x' given, allowed are numbers from 1"));
  EXPECT_THAT(error("CFG startup_s=30 max_ongoing=1 wait_slo_s=1 min=3 max=2"),
              testing::HasSubstr("min must not exceed max"));
  auto scaler = LineScaler::Open(kConfig, {}, false);
  ASSERT_TRUE(scaler.ok());
  EXPECT_THAT(scaler->Tick("1 2 3").status().message(), testing::HasSubstr("it is '1 2 3'"));
}

}  // namespace
}  // namespace penstock::app
