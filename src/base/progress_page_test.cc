#include "base/progress_page.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <thread>

#include "base/file.h"

namespace penstock::base {
namespace {

TimePoint At(int seconds) { return TimePoint(std::chrono::seconds(seconds)); }

class ProgressPageTest : public testing::Test {
 protected:
  std::unique_ptr<ProgressPage> agent_ = *ProgressPage::Create();
  std::unique_ptr<ProgressPage> replica_ = *ProgressPage::Open(agent_->Share());
};

TEST_F(ProgressPageTest, WhatOneEndNotesTheOtherReads) {
  EXPECT_EQ(agent_->Read().turns, 0U);
  replica_->NoteTurn(At(1));
  replica_->NoteTurn(At(2));
  replica_->NoteRequests(7);
  replica_->NoteAnswer();
  replica_->NoteCheck(3, At(4));
  const auto seen = agent_->Read();
  EXPECT_EQ(seen.turns, 2U);
  EXPECT_EQ(seen.last_turn, At(2));
  EXPECT_EQ(seen.begun, 7U);
  EXPECT_EQ(seen.answered, 1U);
  EXPECT_EQ(seen.check, 3U);
  EXPECT_EQ(seen.check_at, At(4));
}

TEST_F(ProgressPageTest, AProcessThatDoesNotTurnCanBeReadAllTheSame) {
  const int child = ::fork();
  if (child == 0) {
    replica_->NoteTurn(At(5));
    while (true) ::pause();
  }
  while (agent_->Read().turns == 0) std::this_thread::yield();
  EXPECT_EQ(agent_->Read().last_turn, At(5));
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
}

TEST_F(ProgressPageTest, AThreadOfTheReplicasSaysWhatItDoes) {
  std::thread waits([&] {
    while (replica_->WaitUntilAsked()) replica_->Explain("in model.py:7");
  });
  for (int i = 0; i < 3; ++i) {
    agent_->Ask();
    while (agent_->Explanation().empty()) std::this_thread::yield();
    EXPECT_TRUE(agent_->heard());
    EXPECT_EQ(agent_->Explanation(), "in model.py:7");
  }
  replica_->StopWaiting();
  waits.join();
  agent_->Ask();  // of no effect any more
  EXPECT_FALSE(replica_->WaitUntilAsked());
}

TEST_F(ProgressPageTest, WhatWasSaidBeforeIsNoAnswer) {
  agent_->Ask();
  EXPECT_FALSE(agent_->heard());
  ASSERT_TRUE(replica_->WaitUntilAsked());
  replica_->Explain("first");
  agent_->Ask();
  EXPECT_EQ(agent_->Explanation(), "");
  EXPECT_FALSE(agent_->heard());
}

TEST_F(ProgressPageTest, ALongAnswerIsCut) {
  agent_->Ask();
  ASSERT_TRUE(replica_->WaitUntilAsked());
  replica_->Explain(std::string(100'000, 'x'));
  EXPECT_EQ(agent_->Explanation(), std::string(4000, 'x'));
}

TEST(ProgressPage, WhatIsNoPageIsRefused) {
  EXPECT_EQ(ProgressPage::Open(UniqueFd()).status().code(), Code::kInvalidArgument);
  EXPECT_EQ(ProgressPage::Open(*MemoryFile(std::string(4096, '\0'))).status().code(),
            Code::kInvalidArgument);
}

}  // namespace
}  // namespace penstock::base
