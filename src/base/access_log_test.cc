#include "base/access_log.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <regex>

#include "base/file.h"

namespace penstock::base {
namespace {

class AccessLogTest : public testing::Test {
 protected:
  AccessLogTest() {
    std::string name = "/tmp/penstock_log_XXXXXX";
    folder_ = ::mkdtemp(name.data());
  }
  ~AccessLogTest() override { RemoveTree(folder_); }

  std::string Path() const { return folder_ + "/access.log"; }
  std::string Text() const { return *ReadFile(Path()); }

  std::unique_ptr<Loop> loop_ = *Loop::Create();
  std::string folder_;
};

AccessLog::Entry Entry() {
  return {.request_id = "id-1",
          .method = "GET",
          .target = "/conv",
          .status = "200",
          .route = "/conv",
          .app = "app",
          .latency = std::chrono::microseconds(3349)};
}

TEST_F(AccessLogTest, ALineIsRayServes) {
  AccessLog log(*loop_);
  ASSERT_TRUE(
      log.Configure({.file = {.path = Path()}, .component = "proxy", .id = "127.0.0.1"}).ok());
  log.Note(Entry());
  log.Flush();
  EXPECT_TRUE(std::regex_match(
      Text(), std::regex(R"(INFO \d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} proxy 127.0.0.1 id-1 -- )"
                         R"(GET /conv 200 3.3ms\n)")))
      << Text();
}

TEST_F(AccessLogTest, AModelIsNamed) {
  AccessLog log(*loop_);
  ASSERT_TRUE(log.Configure({.file = {.path = Path()}, .component = "c", .id = "i"}).ok());
  auto entry = Entry();
  entry.model_id = "m7";
  log.Note(entry);
  log.Flush();
  EXPECT_NE(Text().find(" c i id-1 model=m7 -- GET /conv 200 "), std::string::npos) << Text();
}

TEST_F(AccessLogTest, ALineStaysOneLineWhateverAClientSends) {
  AccessLog log(*loop_);
  ASSERT_TRUE(log.Configure({.file = {.path = Path()}, .component = "c", .id = "i"}).ok());
  auto entry = Entry();
  entry.request_id = "a\nINFO forged";
  entry.target = "/\r\n\x7f";
  log.Note(entry);
  log.Flush();
  const std::string text = Text();
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 1) << text;
  EXPECT_NE(text.find("a?INFO forged -- GET /??? 200"), std::string::npos) << text;
}

TEST_F(AccessLogTest, JsonHasTheSameAndItsFields) {
  AccessLog log(*loop_);
  ASSERT_TRUE(log.Configure({.file = {.path = Path()},
                             .json = true,
                             .fields = {{"replica", "r1"}, {"component_name", "replica"}}})
                  .ok());
  auto entry = Entry();
  entry.request_id = "qu\"ote\n\xff";
  log.Note(entry);
  log.Flush();
  const auto json = nlohmann::json::parse(Text());
  EXPECT_EQ(json.at("levelname"), "INFO");
  EXPECT_EQ(json.at("message"), "GET /conv 200 3.3ms");
  EXPECT_EQ(json.at("request_id"), "qu\"ote\n\xef\xbf\xbd");
  EXPECT_EQ(json.at("route"), "/conv");
  EXPECT_EQ(json.at("application"), "app");
  EXPECT_EQ(json.at("replica"), "r1");
  EXPECT_EQ(json.at("component_name"), "replica");
  EXPECT_EQ(json.at("asctime").get<std::string>().size(), 23u);
  EXPECT_GT(json.at("timestamp_ns"), 1'000'000'000'000'000'000);
}

TEST_F(AccessLogTest, ALineIsThereSoonWithoutBeingAskedFor) {
  AccessLog log(*loop_);
  ASSERT_TRUE(log.Configure({.file = {.path = Path()}}).ok());
  log.Note(Entry());
  EXPECT_EQ(Text(), "");  // it waits for others
  for (int i = 0; i < 1000 && Text().empty(); ++i) loop_->RunOnce(std::chrono::milliseconds(20));
  EXPECT_NE(Text(), "");
}

TEST_F(AccessLogTest, ItMayBeTurnedOffAndElsewhere) {
  AccessLog log(*loop_);
  ASSERT_TRUE(log.Configure({.file = {.path = Path()}}).ok());
  log.Note(Entry());
  ASSERT_TRUE(log.Configure({}).ok());  // what was noted is written first
  const std::string before = Text();
  EXPECT_NE(before, "");
  log.Note(Entry());
  ASSERT_TRUE(log.Configure({.file = {.path = Path() + "2"}}).ok());
  log.Note(Entry());
  log.Flush();
  EXPECT_EQ(Text(), before);
  EXPECT_NE(*ReadFile(Path() + "2"), "");
  EXPECT_NE(log.Configure({.file = {.path = folder_ + "/missing/x"}}).message().find("missing"),
            std::string::npos);
}

TEST_F(AccessLogTest, ALargeFileIsFollowedByANewOne) {
  BlockLog log(*loop_);
  ASSERT_TRUE(log.Open({.path = Path(), .rotate_bytes = 10, .rotate_files = 3}).ok());
  for (const char* line : {"the first\n", "the second\n", "the third\n", "4\n"}) {
    log.buffer() += line;
    log.Written();
    log.Flush();
  }
  EXPECT_EQ(Text(), "4\n");
  EXPECT_EQ(*ReadFile(Path() + ".1"), "the third\n");
  EXPECT_EQ(*ReadFile(Path() + ".2"), "the second\n");
  EXPECT_FALSE(std::filesystem::exists(Path() + ".3"));
}

}  // namespace
}  // namespace penstock::base
