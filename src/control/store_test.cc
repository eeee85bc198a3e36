#include "control/store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sqlite3.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

namespace penstock::control {
namespace {

using testing::HasSubstr;

constexpr double kNow = 1780000000;  // 2026-05-28 20:26:40 UTC

class StoreTest : public testing::Test {
 protected:
  StoreTest() {
    folder = testing::TempDir() + "store_test_XXXXXX";  // ctest runs tests beside each other
    EXPECT_NE(::mkdtemp(folder.data()), nullptr);
    path = folder + "/state.db";
  }
  ~StoreTest() override { std::filesystem::remove_all(folder); }

  OpenedStore Open() const {
    auto opened = OpenSqliteStore(path, kNow);
    EXPECT_TRUE(opened.ok()) << opened.status().message();
    return *std::move(opened);
  }

  // Many keys, so that there are many pages, all of them in the file itself.
  void Fill() const {
    {
      const OpenedStore opened = Open();
      std::vector<Write> writes;
      for (int i = 0; i < 200; ++i) {
        writes.push_back({"key/" + std::to_string(i), std::string(500, 'x')});
      }
      EXPECT_TRUE(opened.store->Commit(writes).ok());
    }
    EXPECT_GT(std::filesystem::file_size(path), 50'000u);
  }

  void WriteFile(const std::string& text) const { std::ofstream(path, std::ios::binary) << text; }

  // What is damaged is kept, named, and replaced by something that works.
  void ExpectReplaced() const {
    const auto size = std::filesystem::file_size(path);
    const OpenedStore opened = Open();
    EXPECT_THAT(opened.replaced, HasSubstr("'" + path + "'"));
    EXPECT_THAT(opened.replaced, HasSubstr(path + ".corrupt-20260528T202640Z"));
    EXPECT_EQ(std::filesystem::file_size(path + ".corrupt-20260528T202640Z"), size);
    EXPECT_TRUE(opened.store->Load()->empty());
    EXPECT_TRUE(opened.store->Commit({{"key", "value"}}).ok());
    EXPECT_EQ(opened.store->Load()->at("key"), "value");
  }

  std::string folder;
  std::string path;
};

TEST_F(StoreTest, KeepsWhatWasCommitted) {
  {
    const OpenedStore opened = Open();
    EXPECT_EQ(opened.replaced, "");
    ASSERT_TRUE(opened.store->Commit({{"a", "1"}, {"b", "2"}}).ok());
    ASSERT_TRUE(opened.store->Commit({{"a", std::nullopt}}).ok());
  }
  const OpenedStore opened = Open();
  EXPECT_EQ(opened.replaced, "");
  EXPECT_EQ(*opened.store->Load(), (std::map<std::string, std::string>{{"b", "2"}}));
}

TEST_F(StoreTest, GarbageIsKeptAsideAndReplaced) {
  WriteFile(std::string(10'000, '?'));
  ExpectReplaced();
}

TEST_F(StoreTest, ATruncatedFileIsKeptAsideAndReplaced) {
  Fill();
  std::filesystem::resize_file(path, 20'000);
  ExpectReplaced();
}

TEST_F(StoreTest, AnEmptyFileIsKeptAsideAndReplaced) {
  WriteFile("");
  ExpectReplaced();
}

TEST_F(StoreTest, DamageInsideIsFoundAtOnce) {
  Fill();
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(30'000);
  file << std::string(8192, '\xff');
  file.close();
  ExpectReplaced();
}

TEST_F(StoreTest, ANewerSchemaIsRefusedAndLeftAlone) {
  Fill();
  sqlite3* raw = nullptr;
  ASSERT_EQ(::sqlite3_open(path.c_str(), &raw), SQLITE_OK);
  ASSERT_EQ(::sqlite3_exec(raw, "PRAGMA user_version = 7", nullptr, nullptr, nullptr), SQLITE_OK);
  ::sqlite3_close(raw);
  const auto opened = OpenSqliteStore(path, kNow);
  EXPECT_EQ(opened.status().code(), Code::kFailedPrecondition);
  EXPECT_THAT(opened.status().message(), HasSubstr(path));
  EXPECT_THAT(opened.status().message(), HasSubstr("its schema is 7, of a newer Penstock"));
  EXPECT_TRUE(std::filesystem::exists(path));
  EXPECT_FALSE(std::filesystem::exists(path + ".corrupt-20260528T202640Z"));
}

TEST_F(StoreTest, AFolderThatIsNotThereIsNoDamage) {
  const auto opened = OpenSqliteStore(folder + "/none/state.db", kNow);
  EXPECT_EQ(opened.status().code(), Code::kInternal);
  EXPECT_THAT(opened.status().message(), HasSubstr(folder + "/none/state.db"));
}

}  // namespace
}  // namespace penstock::control
