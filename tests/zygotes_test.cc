// The pool of warm processes, with scripts in their place.
#include "engine/local/zygotes.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#include <set>

#include "base/file.h"
#include "support/loop_fixture.h"

namespace penstock::engine::local {
namespace {

using testing::HasSubstr;

// Scripts in the place of an interpreter: each says something else on the socket.
class ZygotesTest : public testing_support::LoopTest {
 protected:
  ZygotesTest() {
    ::prctl(PR_SET_CHILD_SUBREAPER, 1);
    context_.paths.folder = folder_;
    context_.environment = {{"PATH", "/usr/bin:/bin"}};
    EXPECT_TRUE(base::MakeDirs(context_.paths.logs()).ok());
    EXPECT_TRUE(base::MakeDirs(context_.paths.sockets()).ok());
  }

  ~ZygotesTest() override {
    zygotes_.Stop();
    Until([&] { return zygotes_.pids().empty(); });
  }

  ZygoteKey Script(const std::string& name, const std::string& lines) {
    const std::string path = Path(name);
    EXPECT_TRUE(base::WriteFileAtomic(path, "#!/usr/bin/python3\n" + lines + "\n").ok());
    ::chmod(path.c_str(), 0700);
    return {.python = path, .fixed = {}};
  }

  // Asks, and waits for the answer.
  Result<int> Fork(const ZygoteKey& key) {
    std::optional<Result<int>> answer;
    Ask(key, [&](const Result<int>& pid) { answer = pid; });
    Until([&] { return answer.has_value(); });
    return *answer;
  }

  void Ask(const ZygoteKey& key, std::function<void(const Result<int>&)> then) {
    const auto null = [] { return base::UniqueFd(::open("/dev/null", O_RDWR | O_CLOEXEC)); };
    zygotes_.Fork(
        key,
        {.environment = {}, .control = null(), .log = null(), .folder = null(), .page = null()},
        [then = std::move(then)](const Result<int>& pid, TimePoint) { then(pid); });
  }

  NodeContext context_;
  Zygotes zygotes_{*loop_, context_, [] {}};
};

// Python: for each request, `then`.
std::string OnRequest(const std::string& then) {
  return "import socket\ns = socket.socket(fileno=3)\ns.setblocking(True)\n"
         "while s.recv(64): " +
         then;
}

std::string Answering(const std::string& answer) { return OnRequest("s.send(b'" + answer + "')"); }

TEST_F(ZygotesTest, OneServesManyOneAfterAnother) {
  const auto key = Script("good", Answering("{\"pid\": 7}"));
  int answers = 0;
  for (int i = 0; i < 5; ++i) {
    Ask(key, [&](const Result<int>& pid) {
      EXPECT_EQ(*pid, 7);
      ++answers;
    });
  }
  EXPECT_TRUE(zygotes_.forking());
  Until([&] { return answers == 5; });
  EXPECT_FALSE(zygotes_.forking());
  EXPECT_EQ(zygotes_.pids().size(), 1U);
}

TEST_F(ZygotesTest, OneThatIsWarmAlreadyIsUsed) {
  const auto key = Script("good", Answering("{\"pid\": 7}"));
  zygotes_.WarmUp(key);
  const auto warm = zygotes_.pids();
  EXPECT_EQ(warm.size(), 1U);
  ASSERT_TRUE(Fork(key).ok());
  EXPECT_EQ(zygotes_.pids(), warm);
}

TEST_F(ZygotesTest, OneThatIsKilledIsReplacedWhenItIsNeeded) {
  const auto key = Script("good", Answering("{\"pid\": 7}"));
  ASSERT_TRUE(Fork(key).ok());
  const int first = zygotes_.pids().front();
  ::kill(first, SIGKILL);
  Until([&] { return zygotes_.pids().empty(); });
  ASSERT_TRUE(Fork(key).ok());
  EXPECT_NE(zygotes_.pids().front(), first);
}

TEST_F(ZygotesTest, OneThatRefusesAndEndsIsReplaced) {
  const auto key =
      Script("refuses", OnRequest(R"(s.send(b'{"why_not": "changed", "ends": true}'); exit())"));
  EXPECT_EQ(Fork(key).status().message(), "changed");
  EXPECT_FALSE(zygotes_.forking());
}

TEST_F(ZygotesTest, OneThatRefusesOnceGoesOn) {
  const auto key = Script("refuses", Answering(R"({"why_not": "not this one", "ends": false})"));
  EXPECT_EQ(Fork(key).status().message(), "not this one");
  const int pid = zygotes_.pids().front();
  EXPECT_EQ(Fork(key).status().message(), "not this one");
  EXPECT_EQ(zygotes_.pids().front(), pid);
}

TEST_F(ZygotesTest, OneThatCannotStartIsNotTriedAgainAtOnce) {
  const auto key =
      Script("broken", "print('tried', file=open('" + Path("tries") + "', 'a'))\nexit(3)");
  EXPECT_EQ(Fork(key).status().message(), "its zygote ended with exit code 3");
  Until([&] { return zygotes_.pids().empty(); });
  EXPECT_THAT(Fork(key).status().message(), HasSubstr("could not be started"));
  EXPECT_EQ(*base::ReadFile(Path("tries")), "tried\n");
  const ZygoteKey none{.python = Path("none"), .fixed = {}};
  EXPECT_THAT(Fork(none).status().message(), HasSubstr("No such file"));
}

class Nonsense : public ZygotesTest, public testing::WithParamInterface<const char*> {};

TEST_P(Nonsense, EndsTheZygoteAndItsRequestsGetAnAnswer) {
  const auto key = Script("nonsense", Answering(GetParam()));
  EXPECT_THAT(Fork(key).status().message(), HasSubstr("signal 9"));
}

INSTANTIATE_TEST_SUITE_P(Answers, Nonsense,
                         testing::Values("x", "[]", "{}", R"({"pid": 0})", R"({"pid": -1})",
                                         R"({"pid": 1.5})", R"({"why_not": "", "ends": true})",
                                         R"({"why_not": 1, "ends": true})"));

TEST_F(ZygotesTest, WhatItSaysUnaskedEndsIt) {
  const auto key = Script("talks", OnRequest(R"(s.send(b'{"pid": 7}'); s.send(b'{"pid": 8}'))"));
  EXPECT_TRUE(Fork(key).ok());
  Until([&] { return zygotes_.pids().empty(); });
}

TEST_F(ZygotesTest, OfManyTheOneThatWasUsedLongestAgoGoes) {
  std::vector<ZygoteKey> keys;
  for (int i = 0; i < 5; ++i) {
    keys.push_back(Script("good" + std::to_string(i), Answering("{\"pid\": 7}")));
  }
  for (int i = 0; i < 4; ++i) ASSERT_TRUE(Fork(keys[static_cast<std::size_t>(i)]).ok());
  const auto before = zygotes_.pids();
  const std::set<int> four(before.begin(), before.end());
  ASSERT_TRUE(Fork(keys[0]).ok());  // the second is the one now
  ASSERT_TRUE(Fork(keys[4]).ok());
  Until([&] { return zygotes_.pids().size() == 4; });
  const auto after = zygotes_.pids();
  int kept = 0;
  for (const int pid : after) kept += four.contains(pid) ? 1 : 0;
  EXPECT_EQ(kept, 3);
  ASSERT_TRUE(Fork(keys[0]).ok());
  EXPECT_EQ(zygotes_.pids(), after);
}

TEST_F(ZygotesTest, AfterStopNoneIsStarted) {
  const auto key = Script("good", Answering("{\"pid\": 7}"));
  ASSERT_TRUE(Fork(key).ok());
  zygotes_.Stop();
  EXPECT_FALSE(Fork(key).ok());
  Until([&] { return zygotes_.pids().empty(); });
}

}  // namespace
}  // namespace penstock::engine::local
