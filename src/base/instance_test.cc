#include "base/instance.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include "base/environment.h"
#include "base/file.h"

namespace penstock::base {
namespace {

namespace fs = std::filesystem;

constexpr auto kPrivate = fs::perms::owner_all;

class InstanceFolders : public testing::Test {
 protected:
  InstanceFolders() : before_(GetEnv("PENSTOCK_HOME")) {
    std::string name = testing::TempDir() + "penstock_home_XXXXXX";
    above_ = ::mkdtemp(name.data());
    root_ = above_ + "/root";
    ::setenv("PENSTOCK_HOME", root_.c_str(), 1);
  }
  ~InstanceFolders() override {
    ::setenv("PENSTOCK_HOME", before_.c_str(), 1);
    RemoveTree(above_);
  }

  // An instance whose agent is this process.
  InstanceInfo Publish(const std::string& name) {
    InstanceInfo info{.folder = MakeInstance(name)->folder, .agent = Process::WithId(::getpid())};
    EXPECT_TRUE(PublishInstance(info).ok());
    return info;
  }

  // Why instances are neither made nor looked for.
  std::string Refusal() {
    const Status status = MakeInstance("i").status();
    EXPECT_EQ(status.code(), Code::kFailedPrecondition);
    EXPECT_EQ(FindInstance("").status(), status);
    EXPECT_EQ(FindInstance("127.0.0.1:6379").status(), status);
    EXPECT_EQ(LiveInstances().status(), status);
    return status.message();
  }

  std::string before_;
  std::string above_;
  std::string root_;
};

TEST_F(InstanceFolders, AreTheUsersAlone) {
  const auto paths = MakeInstance("i");
  ASSERT_TRUE(paths.ok());
  for (const std::string& folder :
       {root_, paths->folder, paths->code(), paths->sockets(), paths->logs()}) {
    EXPECT_EQ(fs::status(folder).permissions(), kPrivate) << folder;
  }
}

TEST_F(InstanceFolders, AreFoundWhileTheAgentLives) {
  EXPECT_EQ(FindInstance("").status().code(), Code::kNotFound);
  const InstanceInfo info = Publish("i");
  for (const std::string address : {"", "auto", "127.0.0.1:6379"}) {
    EXPECT_EQ(FindInstance(address)->folder, info.folder) << address;
  }
  EXPECT_EQ(FindInstance(info.folder)->agent.pid, ::getpid());
  EXPECT_EQ(LiveInstances()->size(), 1u);
  RetractInstance(info);
  EXPECT_EQ(FindInstance("").status().code(), Code::kNotFound);
}

TEST_F(InstanceFolders, AProcessWithTheIdOfAnAgentThatDiedIsNotTaken) {
  InstanceInfo info{.folder = MakeInstance("i")->folder, .agent = Process::WithId(::getpid())};
  --info.agent.started;
  ASSERT_TRUE(PublishInstance(info).ok());
  EXPECT_EQ(FindInstance("").status().code(), Code::kNotFound);
  EXPECT_EQ(FindInstance(info.folder).status().code(), Code::kNotFound);
  EXPECT_TRUE(LiveInstances()->empty());
}

TEST_F(InstanceFolders, AnUnreadableFileIsNoInstance) {
  const std::string folder = MakeInstance("i")->folder;
  for (const char* text : {"", "5", "{}", R"({"pid": "1", "started": 1})"}) {
    ASSERT_TRUE(WriteFileAtomic(folder + "/info.json", text).ok());
    EXPECT_EQ(FindInstance(folder).status().code(), Code::kNotFound);
  }
}

TEST_F(InstanceFolders, ARootThatOthersMayWriteToIsRefused) {
  ASSERT_TRUE(MakeDirs(root_).ok());
  ASSERT_EQ(::chmod(root_.c_str(), 0770), 0);
  EXPECT_EQ(Refusal(), "other users may write to '" + root_ +
                           "': forbid it with `chmod go-w`; name another folder for instances with "
                           "PENSTOCK_HOME");
  ASSERT_EQ(::chmod(root_.c_str(), 0755), 0);
  EXPECT_TRUE(MakeInstance("i").ok());
  EXPECT_EQ(fs::status(root_ + "/i").permissions(), kPrivate);
}

TEST_F(InstanceFolders, AFileOrALinkToNowhereIsRefused) {
  ASSERT_TRUE(WriteFileAtomic(root_, "").ok());
  EXPECT_FALSE(MakeInstance("i").ok());
  fs::remove(root_);
  fs::create_symlink(above_ + "/nowhere", root_);
  EXPECT_FALSE(MakeInstance("i").ok());
  EXPECT_EQ(LiveInstances().status().code(), Code::kFailedPrecondition);
}

TEST_F(InstanceFolders, ARootOfAnotherUserIsRefused) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can make one";
  constexpr uid_t kOther = 12345;
  ASSERT_TRUE(MakeDirs(root_).ok());
  ASSERT_EQ(::chown(root_.c_str(), kOther, kOther), 0);
  EXPECT_EQ(Refusal().find("'" + root_ + "' belongs to user 12345, not to user 0"), 0u);
  // A link that somebody laid where our root would be, to a place of ours.
  RemoveTree(root_);
  ASSERT_TRUE(MakeDirs(above_ + "/ours").ok());
  fs::create_symlink(above_ + "/ours", root_);
  EXPECT_TRUE(MakeInstance("i").ok());
  ASSERT_EQ(::lchown(root_.c_str(), kOther, kOther), 0);
  EXPECT_EQ(Refusal().find("'" + root_ + "' belongs to user 12345"), 0u);
}

TEST(Process, IsToldApartFromWhoHasItsIdLater) {
  const int pid = ::fork();
  if (pid == 0) {
    while (true) ::pause();
  }
  const Process child = Process::WithId(pid);
  EXPECT_TRUE(child.alive());
  EXPECT_TRUE(child.Open());
  const Process earlier{.pid = pid, .started = child.started - 1};
  EXPECT_FALSE(earlier.alive());
  EXPECT_FALSE(earlier.Open());
  SignalThrough(child.Open(), SIGKILL);
  siginfo_t info{};
  ::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOWAIT);
  EXPECT_FALSE(child.alive()) << "a zombie runs no more";
  ::waitpid(pid, nullptr, 0);
  EXPECT_FALSE(child.alive());
  EXPECT_EQ(Process::WithId(pid).pid, 0);
  EXPECT_FALSE(Process().alive());
}

}  // namespace
}  // namespace penstock::base
