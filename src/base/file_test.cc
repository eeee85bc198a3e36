#include "base/file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <string>

namespace penstock::base {
namespace {

class FileTest : public testing::Test {
 protected:
  FileTest() {
    std::string name = testing::TempDir() + "penstock_file_XXXXXX";
    folder_ = ::mkdtemp(name.data());
  }
  ~FileTest() override { RemoveTree(folder_); }

  std::string folder_;
};

TEST_F(FileTest, WritesWholeFilesAndReadsThemBack) {
  const std::string path = folder_ + "/f";
  ASSERT_TRUE(WriteFileAtomic(path, "one").ok());
  ASSERT_TRUE(WriteFileAtomic(path, std::string_view("two\0three", 9)).ok());
  EXPECT_EQ(*ReadFile(path), std::string_view("two\0three", 9));
  EXPECT_EQ(ListDir(folder_), std::vector<std::string>{"f"}) << "no temporary file stays";
}

TEST_F(FileTest, MissingFilesAreNamed) {
  const auto read = ReadFile(folder_ + "/none");
  EXPECT_EQ(read.status().code(), Code::kNotFound);
  EXPECT_NE(read.status().message().find("/none"), std::string::npos);
  EXPECT_FALSE(WriteFileAtomic(folder_ + "/no/such/f", "x").ok());
}

TEST_F(FileTest, AFileInMemoryHoldsWhatItWasGiven) {
  for (const std::string& content :
       {std::string(), std::string("a\0b", 3), std::string(1 << 20, 'x')}) {
    const auto file = MemoryFile(content);
    ASSERT_TRUE(file.ok());
    EXPECT_EQ(*ReadFile("/proc/self/fd/" + std::to_string(file->get())), content);
  }
}

TEST_F(FileTest, TailHoldsWholeLines) {
  const std::string path = folder_ + "/log";
  ASSERT_TRUE(WriteFileAtomic(path, "first\nsecond\nthird\n").ok());
  EXPECT_EQ(ReadTail(path, 100), "first\nsecond\nthird\n");
  EXPECT_EQ(ReadTail(path, 10), "third\n");
  EXPECT_EQ(ReadTail(folder_ + "/none", 10), "");
}

TEST_F(FileTest, FoldersComeAndGoWhole) {
  const std::string deep = folder_ + "/a/b/c";
  ASSERT_TRUE(MakeDirs(deep).ok());
  ASSERT_TRUE(MakeDirs(deep).ok());
  ASSERT_TRUE(WriteFileAtomic(deep + "/f", "").ok());
  RemoveTree(folder_ + "/a");
  EXPECT_TRUE(ListDir(folder_).empty());
  RemoveTree(folder_ + "/a");
}

TEST_F(FileTest, EveryFolderThatIsMadeIsTheUsersAlone) {
  const mode_t before = ::umask(0);
  ASSERT_TRUE(MakeDirs(folder_ + "/a/b/c").ok());
  ::umask(before);
  for (const char* made : {"/a", "/a/b", "/a/b/c"}) {
    EXPECT_EQ(std::filesystem::status(folder_ + made).permissions(),
              std::filesystem::perms::owner_all);
  }
  EXPECT_TRUE(MakeDirs(folder_ + "/a/b/").ok()) << "there already";
  ASSERT_TRUE(WriteFileAtomic(folder_ + "/f", "").ok());
  EXPECT_EQ(MakeDirs(folder_ + "/f/g").message(),
            "cannot make folder '" + folder_ + "/f': File exists");
}

}  // namespace
}  // namespace penstock::base
