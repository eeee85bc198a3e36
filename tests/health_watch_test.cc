// Health checks, with a peer in the place of a replica.
#include "engine/local/health_watch.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/socket.h"
#include "support/loop_fixture.h"

namespace penstock::engine::local {
namespace {

using base::Json;
using base::Message;
using base::Peer;
using testing::HasSubstr;
using testing::StartsWith;

// A watch, and a replica that answers as the test says. It uses no CPU but what the test says: of a
// real process, even of one that has ended, some kernels count time that it did not use.
class HealthWatchTest : public testing_support::LoopTest {
 protected:
  HealthWatchTest() {
    cpu_ = {};
    slow_ = false;
    auto pair = *base::MakeSocketPair();
    agent_ = Peer::Open(*loop_, std::move(pair.ours), {});
    EXPECT_EQ(::fcntl(pair.theirs.get(), F_SETFL, O_NONBLOCK), 0);
    replica_ = Peer::Open(*loop_, std::move(pair.theirs),
                          {.on_call = [this](const std::string&, const Message& params,
                                             Peer::Respond respond) { OnCheck(params, respond); },
                           .on_notice = {},
                           .on_closed = {}});
  }
  ~HealthWatchTest() override {
    watch_.reset();
    agent_->Close();
    replica_->Close();
  }

  void Begin(bool own_check, WatchdogLimits limits = {}) {
    page_->NoteTurn(loop_->clock().Now());
    watch_ = std::make_unique<HealthWatch>(
        *loop_, random_, *agent_, *page_,
        HealthWatch::Options{.pid = kPid,
                             .mark = "NOBODY=1",
                             .own_check = own_check,
                             .period_s = 0.01,
                             .timeout_s = 0.05,
                             .limits = limits,
                             .cpu_of = CpuOf},
        [this](const HealthWatch::Report& report) { reports_.push_back(report); });
  }

  static Duration CpuOf(int pid) {
    if (slow_) std::this_thread::sleep_for(std::chrono::milliseconds(5));
    return pid == kPid ? cpu_ : Duration();
  }

  void OnCheck(const Message& params, const Peer::Respond& respond) {
    ++checks_;
    if (!arrives_) return held_.push_back(respond);
    page_->NoteCheck(params.json.at("check").get<std::uint64_t>(), loop_->clock().Now());
    if (answer_) {
      respond(*answer_);
    } else {
      held_.push_back(respond);
    }
  }

  static constexpr int kPid = 1 << 30;  // nobody's: the kernel gives none above 4 million
  static inline Duration cpu_{};
  static inline bool slow_ = false;
  base::Random random_{1};
  std::unique_ptr<base::ProgressPage> page_ = *base::ProgressPage::Create();
  std::shared_ptr<Peer> agent_;
  std::shared_ptr<Peer> replica_;
  std::unique_ptr<HealthWatch> watch_;
  std::vector<HealthWatch::Report> reports_;
  std::vector<Peer::Respond> held_;
  std::optional<Result<Message>> answer_ = Message{};  // to each check; nothing: later
  bool arrives_ = true;                                // a check reaches the replica
  int checks_ = 0;
};

TEST_F(HealthWatchTest, OfOneThatIsWellNothingIsSaid) {
  Begin(true);
  Until([&] { return checks_ >= 3; });
  EXPECT_TRUE(reports_.empty());
}

TEST_F(HealthWatchTest, EachFailureIsReportedAndTheRecoveryOnce) {
  answer_ = Internal("ill");
  Begin(true);
  Until([&] { return reports_.size() >= 2; });
  EXPECT_TRUE(reports_[1].failed);
  EXPECT_EQ(reports_[1].why, "ill");
  answer_ = Message{};
  Until([&] { return !reports_.back().failed; });
  const auto said = reports_.size();
  EXPECT_EQ(reports_.back().facts, Json({{"state", "healthy"}}));
  const int before = checks_;
  Until([&] { return checks_ >= before + 3; });
  EXPECT_EQ(reports_.size(), said);
}

TEST_F(HealthWatchTest, ACheckThatArrivedHasItsTimeOut) {
  answer_.reset();
  Begin(true);
  Until([&] { return !reports_.empty(); });
  EXPECT_TRUE(reports_[0].failed);
  EXPECT_EQ(reports_[0].why, "no answer within 0.05 s");
  held_[0](Message{});  // too late
  Settle();
  EXPECT_TRUE(reports_.back().failed);
}

TEST_F(HealthWatchTest, OneThatIsSilentIsStalledIfItHasACheckOfItsOwn) {
  arrives_ = false;
  Begin(true);
  Until([&] { return reports_.size() >= 3; });
  EXPECT_EQ(checks_, 1) << "what is not heard need not be said again";
  for (const auto& report : reports_) {
    EXPECT_TRUE(report.failed);
    EXPECT_EQ(report.health, Health::kStalled);
    EXPECT_THAT(report.why, StartsWith("its event loop has been held up for"));
    EXPECT_THAT(report.why, HasSubstr("without a sign of life"));
    EXPECT_EQ(report.facts.at("state"), "stalled");
  }
}

TEST_F(HealthWatchTest, OneThatGetsOnIsBusyUntilItAnswers) {
  arrives_ = false;
  Begin(true);
  Until([&] {
    page_->NoteAnswer();  // by a thread
    return !reports_.empty();
  });
  EXPECT_FALSE(reports_[0].failed);
  EXPECT_EQ(reports_[0].facts.at("state"), "busy");
  page_->NoteCheck(1, loop_->clock().Now());
  held_[0](Message{});
  arrives_ = true;
  Until([&] { return reports_.size() >= 2; });
  EXPECT_EQ(reports_[1].facts, Json({{"state", "healthy"}}));
}

TEST_F(HealthWatchTest, ToLookMayTakeLong) {
  arrives_ = false;
  slow_ = true;
  Begin(true);
  Until([&] { return reports_.size() >= 2; });
  for (const auto& report : reports_) EXPECT_EQ(report.health, Health::kStalled);
}

TEST_F(HealthWatchTest, OneThatUsesItsCpuGetsOn) {
  arrives_ = false;
  Begin(true);
  Until([&] {
    cpu_ += std::chrono::milliseconds(2);
    return !reports_.empty();
  });
  EXPECT_FALSE(reports_[0].failed);
  EXPECT_EQ(reports_[0].facts.at("state"), "busy");
}

TEST_F(HealthWatchTest, WithoutACheckOfItsOwnOneMayBeSilentForLong) {
  arrives_ = false;
  Begin(false, {.silence = std::chrono::milliseconds(600)});
  Until([&] { return reports_.size() >= 2; });
  EXPECT_EQ(reports_[0].health, Health::kBusy);
  EXPECT_EQ(reports_[1].health, Health::kStalled);
}

TEST_F(HealthWatchTest, ThreadsThatAreStuckAreAFailureOfAnAnswer) {
  answer_ = Message{{{"threads", {{"limit", 5}, {"taken", 5}, {"queued", 1}, {"begun", 9}}},
                     {"threads_cpu_s", 1.0}},
                    ""};
  Begin(false, {.patience = std::chrono::milliseconds(100)});
  Until([&] { return !reports_.empty(); });
  EXPECT_TRUE(reports_[0].failed);
  EXPECT_THAT(reports_[0].why, StartsWith("all threads for sync methods are taken"));
}

TEST_F(HealthWatchTest, AnAnswerAfterTheEndIsNotHeard) {
  answer_.reset();
  Begin(true);
  Until([&] { return !held_.empty(); });
  watch_.reset();
  held_[0](Message{});
  Settle();
  EXPECT_TRUE(reports_.empty());
}

}  // namespace
}  // namespace penstock::engine::local
