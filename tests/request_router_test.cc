// Routers other than the default, over real sockets: in turn, by session, and a custom one whose
// process the test plays.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/epoll.h>

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/peer.h"
#include "base/socket.h"
#include "support/router_fixture.h"

namespace penstock {
namespace {

using base::Json;
using base::Message;
using base::Peer;
using route::Failure;
using testing_support::Caller;
using testing_support::CallPayload;
using testing_support::kId;
using testing_support::Replica;
using testing_support::RouterReplicaTest;
using Kind = RequestRouterSpec::Kind;

// The process of a custom router: keeps what it is asked and told; the test answers.
class Process final : private base::FdHandler {
 public:
  struct Question {
    Json params;
    std::string frame;
    Peer::Respond respond;
  };

  Process(base::Loop& loop, const std::string& path, bool fifo = false)
      : loop_(loop), fifo_(fifo), listener_(*base::ListenUnix(path)) {
    loop_.Watch(listener_.get(), EPOLLIN, *this);
  }
  ~Process() override {
    loop_.Unwatch(listener_.get(), *this);
    if (caller_) caller_->Close();
  }

  // Answers the i-th question.
  void Answer(std::size_t i, const Json& ranked) {
    questions.at(i).respond(Message{{{"ranked", ranked}}, ""});
  }

  std::vector<Question> questions;
  std::vector<std::pair<std::string, Json>> notices;

 private:
  void OnEvents(std::uint32_t) override {
    caller_ =
        Peer::Open(loop_, base::Accept(listener_),
                   {.on_call =
                        [this](const std::string&, Message message, Peer::Respond respond) {
                          questions.push_back({message.json, message.blob, std::move(respond)});
                        },
                    .on_notice = [this](const std::string& method,
                                        const Message& m) { notices.emplace_back(method, m.json); },
                    .on_closed = [](const std::string&) {}});
    caller_->Notify("router.hello", {{{"fifo", fifo_}}, ""});
  }

  base::Loop& loop_;
  bool fifo_;
  base::UniqueFd listener_;
  std::shared_ptr<Peer> caller_;
};

class RequestRouterTest : public RouterReplicaTest {
 protected:
  void Use(Kind kind) {
    route_.router.kind = kind;
    if (kind == Kind::kCustom) route_.router.socket = Path("router");
    Publish();
  }

  void AskIn(Caller& caller, const std::string& session, const std::string& method = "x") {
    caller.exchange =
        router_.Queue(kId).Start(CallPayload(method, "", session), /*end=*/true, caller);
  }

  std::string RouterPath() const { return Path("router"); }
};

TEST_F(RequestRouterTest, InTurnEachReplicaGetsAsMany) {
  Use(Kind::kRoundRobin);
  for (int i = 0; i < 3; ++i) AddReplica(100);
  std::vector<Caller> callers(30);
  for (Caller& caller : callers) Ask(caller, "x");
  Until([&] {
    return std::ranges::all_of(replicas_, [](const auto& r) { return r->code.calls.size() == 10; });
  });
}

TEST_F(RequestRouterTest, ASessionStaysOnItsReplicaWhenOthersComeAndGo) {
  Use(Kind::kConsistentHash);
  for (int i = 0; i < 4; ++i) AddReplica(1000);
  constexpr int kSessions = 40;
  const auto where = [&] {
    std::vector<Caller> callers(kSessions);
    std::vector<std::string> places;
    for (int i = 0; i < kSessions; ++i) {
      AskIn(callers[static_cast<std::size_t>(i)], "session" + std::to_string(i));
      places.push_back(callers[static_cast<std::size_t>(i)].exchange->replica());
    }
    return places;
  };
  const auto before = where();
  EXPECT_EQ(where(), before);
  AddReplica(1000);
  const auto after = where();
  int moved = 0;
  for (int i = 0; i < kSessions; ++i) {
    const auto at = static_cast<std::size_t>(i);
    if (after[at] == before[at]) continue;
    ++moved;
    EXPECT_EQ(after[at], "r4") << "who moves goes to the new one";
  }
  EXPECT_GT(moved, 0);
  EXPECT_LT(moved, kSessions / 2);
}

TEST_F(RequestRouterTest, ASessionWaitsWhenItsReplicasAreFullAndOthersPass) {
  route_.router.num_fallback_replicas = 0;
  Use(Kind::kConsistentHash);
  AddReplica(1);
  AddReplica(1);
  Settle();
  Caller first;
  AskIn(first, "s", "first");
  const std::string home = first.exchange->replica();
  Caller second;
  AskIn(second, "s", "second");
  EXPECT_EQ(router_.Queue(kId).queued(), 1u);
  std::string elsewhere = "t";
  Caller other;
  for (int i = 0; other.exchange == nullptr || other.exchange->replica().empty(); ++i) {
    if (other.exchange) other.exchange->Cancel();
    AskIn(other, "t" + std::to_string(i));
  }
  EXPECT_NE(other.exchange->replica(), home);
  Replica& busy = *replicas_[home == "r0" ? 0 : 1];
  Until([&] { return busy.code.calls.size() == 1; });
  busy.code.calls[0]->Reply("", false);
  Until([&] { return busy.code.calls.size() == 2; });
  EXPECT_EQ(busy.code.calls[1]->head().method, "second");
}

TEST_F(RequestRouterTest, ALiveChangeOfTheRouterIsObeyed) {
  AddReplica(100);
  AddReplica(100);
  Use(Kind::kConsistentHash);
  std::vector<Caller> callers(10);
  for (Caller& caller : callers) AskIn(caller, "same");
  const std::string home = callers[0].exchange->replica();
  for (const Caller& caller : callers) EXPECT_EQ(caller.exchange->replica(), home);
  Use(Kind::kRoundRobin);
  std::map<std::string, int> counts;
  std::vector<Caller> later(10);
  for (Caller& caller : later) {
    AskIn(caller, "same");
    ++counts[caller.exchange->replica()];
  }
  EXPECT_EQ(counts, (std::map<std::string, int>{{"r0", 5}, {"r1", 5}}));
}

// ---- custom ----

TEST_F(RequestRouterTest, ACustomRouterSaysWhereARequestGoes) {
  Process process(*loop_, RouterPath());
  Use(Kind::kCustom);
  AddReplica(5);
  Replica& b = AddReplica(5);
  Caller caller;
  AskIn(caller, "s", "hello");
  EXPECT_EQ(router_.Queue(kId).queued(), 1u);
  Until([&] { return process.questions.size() == 1; });
  const Json& params = process.questions[0].params;
  EXPECT_EQ(params.at("replicas").size(), 2u);
  EXPECT_EQ(params.at("replicas").at(0), (Json{{"id", "r0"}, {"ongoing", 0}, {"open", true}}));
  EXPECT_EQ(process.questions[0].frame, CallPayload("hello", "", "s"));
  process.Answer(0, {{"r1"}, {"r0"}});
  Until([&] { return b.code.calls.size() == 1; });
  b.code.calls[0]->Reply("ok", false);
  Until([&] { return caller.done; });
  Until([&] { return process.notices.size() == 2; });
  EXPECT_EQ(process.notices[0].first, "router.routed");
  EXPECT_EQ(process.notices[0].second.at("replica"), "r1");
  EXPECT_EQ(process.notices[1].first, "router.ended");
  EXPECT_EQ(process.notices[1].second.at("request"), params.at("request"));
}

TEST_F(RequestRouterTest, RequestsWaitForTheProcessOfTheRouter) {
  Use(Kind::kCustom);
  Replica& a = AddReplica(5);
  Caller caller;
  AskIn(caller, "");
  Settle();
  EXPECT_TRUE(a.code.calls.empty());
  Process process(*loop_, RouterPath());
  Until([&] { return process.questions.size() == 1; });
  process.Answer(0, {{"r0"}});
  Until([&] { return a.code.calls.size() == 1; });
}

TEST_F(RequestRouterTest, ARequestIsAskedAboutAgainWhenTheProcessDied) {
  auto process = std::make_unique<Process>(*loop_, RouterPath());
  Use(Kind::kCustom);
  Replica& a = AddReplica(5);
  Caller caller;
  AskIn(caller, "", "again");
  Until([&] { return process->questions.size() == 1; });
  process = std::make_unique<Process>(*loop_, RouterPath());
  Until([&] { return process->questions.size() == 1; });
  EXPECT_EQ(process->questions[0].frame, CallPayload("again")) << "it knows nothing of before";
  process->Answer(0, {{"r0"}});
  Until([&] { return a.code.calls.size() == 1; });
}

TEST_F(RequestRouterTest, WhoWasRefusedByTheFirstGoesToTheNextOfTheAnswer) {
  Process process(*loop_, RouterPath());
  Use(Kind::kCustom);
  Replica& a = AddReplica(1);
  Replica& b = AddReplica(1);
  route::Router other(*loop_);  // fills r0 behind the first router's back
  route_.router = {};
  Publish(other);
  Use(Kind::kCustom);
  Settle();
  Caller blocker;
  blocker.exchange = other.Queue(kId).StartAt("r0", CallPayload("block"), true, blocker);
  Until([&] { return a.code.calls.size() == 1; });
  Caller caller;
  AskIn(caller, "");
  Until([&] { return process.questions.size() == 1; });
  process.Answer(0, {{"r0"}, {"r1"}});
  Until([&] { return b.code.calls.size() == 1; });
}

TEST_F(RequestRouterTest, WhileNobodyNamedHasRoomItIsAskedAgainAndOthersPass) {
  Process process(*loop_, RouterPath());
  Use(Kind::kCustom);
  Replica& a = AddReplica(1);
  Replica& b = AddReplica(1);
  Settle();
  Caller first;
  AskIn(first, "");
  Until([&] { return process.questions.size() == 1; });
  process.Answer(0, {{"r0"}});
  Until([&] { return a.code.calls.size() == 1; });
  Caller stubborn;
  AskIn(stubborn, "", "stubborn");
  Until([&] { return process.questions.size() == 2; });
  process.Answer(1, {{"r0"}});                           // which is full
  Until([&] { return process.questions.size() == 3; });  // at once
  EXPECT_EQ(process.questions[2].params.at("request"), process.questions[1].params.at("request"));
  EXPECT_EQ(process.questions[2].frame, "") << "it is known already";
  EXPECT_FALSE(process.questions[2].params.at("replicas").at(0).at("open"));
  process.Answer(2, {{"r0"}});
  Caller other;
  AskIn(other, "", "other");
  Until([&] { return process.questions.size() >= 4; });
  for (std::size_t i = 3; i < process.questions.size(); ++i) {
    const bool is_other = process.questions[i].frame == CallPayload("other");
    process.Answer(i, is_other ? Json{{"r1"}} : Json{{"r0"}});
  }
  Until([&] {
    for (std::size_t i = 4; i < process.questions.size(); ++i) {
      const bool is_other = process.questions[i].frame == CallPayload("other");
      process.Answer(i, is_other ? Json{{"r1"}} : Json{{"r0"}});
    }
    return b.code.calls.size() == 1;
  });
  EXPECT_EQ(b.code.calls[0]->head().method, "other");
  a.code.calls[0]->Reply("", false);
  Until([&] { return a.code.calls.size() == 2; });
  EXPECT_EQ(a.code.calls[1]->head().method, "stubborn");
}

TEST_F(RequestRouterTest, AnAnswerServesWhoeverCameFirstIfTheRouterIsFifo) {
  Process process(*loop_, RouterPath(), /*fifo=*/true);
  Use(Kind::kCustom);
  Replica& a = AddReplica(5);
  Caller first;
  AskIn(first, "", "first");
  Caller second;
  AskIn(second, "", "second");
  Until([&] { return process.questions.size() == 2; });
  process.Answer(1, {{"r0"}});
  Until([&] { return a.code.calls.size() == 1; });
  EXPECT_EQ(a.code.calls[0]->head().method, "first");
  process.Answer(0, {{"r0"}});
  Until([&] { return a.code.calls.size() == 2; });
  EXPECT_EQ(a.code.calls[1]->head().method, "second");
}

TEST_F(RequestRouterTest, WithoutFifoAnAnswerIsForTheRequestItWasAskedAbout) {
  Process process(*loop_, RouterPath());
  Use(Kind::kCustom);
  Replica& a = AddReplica(5);
  Caller first;
  AskIn(first, "", "first");
  Caller second;
  AskIn(second, "", "second");
  Until([&] { return process.questions.size() == 2; });
  process.Answer(1, {{"r0"}});
  Until([&] { return a.code.calls.size() == 1; });
  EXPECT_EQ(a.code.calls[0]->head().method, "second");
  EXPECT_EQ(router_.Queue(kId).queued(), 1u);
}

TEST_F(RequestRouterTest, ARequestWhoseRouterRaisesFailsWithItsWords) {
  Process process(*loop_, RouterPath());
  Use(Kind::kCustom);
  AddReplica(5);
  Caller caller;
  AskIn(caller, "");
  Until([&] { return process.questions.size() == 1; });
  process.questions[0].respond(Internal("ZeroDivisionError: division by zero"));
  Until([&] { return caller.done; });
  EXPECT_EQ(caller.failure->kind, Failure::Kind::kRouterFailed);
  EXPECT_EQ(caller.failure->message,
            "The request router of Deployment(name='d', app='app') failed: ZeroDivisionError: "
            "division by zero");
  EXPECT_EQ(router_.Queue(kId).queued(), 0u);
  Until([&] { return !process.notices.empty(); });
  EXPECT_EQ(process.notices[0].first, "router.ended");
}

TEST_F(RequestRouterTest, AnAnswerThatIsNoneFailsTheRequestToo) {
  Process process(*loop_, RouterPath());
  Use(Kind::kCustom);
  AddReplica(5);
  Caller caller;
  AskIn(caller, "");
  Until([&] { return process.questions.size() == 1; });
  process.Answer(0, {"r0"});
  Until([&] { return caller.done; });
  EXPECT_THAT(caller.failure->message, testing::HasSubstr("answer of a request router"));
}

TEST_F(RequestRouterTest, NobodyNamedOrOnlyStrangersIsAskedAgain) {
  Process process(*loop_, RouterPath());
  Use(Kind::kCustom);
  Replica& a = AddReplica(5);
  Caller caller;
  AskIn(caller, "");
  Until([&] { return process.questions.size() == 1; });
  process.Answer(0, Json::array());
  Until([&] { return process.questions.size() == 2; });
  process.Answer(1, {{"stranger"}});
  Until([&] { return process.questions.size() == 3; });
  process.Answer(2, {{"r0"}});
  Until([&] { return a.code.calls.size() == 1; });
}

TEST_F(RequestRouterTest, ARequestThatIsCancelledWhileItIsDecidedAboutIsGone) {
  Process process(*loop_, RouterPath());
  Use(Kind::kCustom);
  Replica& a = AddReplica(5);
  {
    Caller caller;
    AskIn(caller, "");
    Until([&] { return process.questions.size() == 1; });
  }
  EXPECT_EQ(router_.Queue(kId).queued(), 0u);
  process.Answer(0, {{"r0"}});
  Until([&] { return !process.notices.empty(); });
  EXPECT_EQ(process.notices[0].first, "router.ended");
  Settle();
  EXPECT_TRUE(a.code.calls.empty());
}

TEST_F(RequestRouterTest, LeavingACustomRouterLetsThoseGoWhoWaitForIt) {
  Use(Kind::kCustom);
  Replica& a = AddReplica(5);
  Caller caller;
  AskIn(caller, "");
  Settle();
  EXPECT_EQ(router_.Queue(kId).queued(), 1u);
  Use(Kind::kPowerOfTwoChoices);
  Until([&] { return a.code.calls.size() == 1; });
}

TEST_F(RequestRouterTest, TheRestOfALargeRequestIsShownToTheRouter) {
  class Large final : public route::ReplySink {
   public:
    void OnReply(std::string_view, std::uint8_t) override {}
    void OnBody(std::string_view, std::uint8_t) override {}
    void OnCredit(std::uint32_t) override {}
    void OnFailure(const Failure&) override {}
    std::string_view Unsent() const override { return "the rest"; }
  };
  Process process(*loop_, RouterPath());
  Use(Kind::kCustom);
  AddReplica(5);
  Large large;
  const auto exchange = router_.Queue(kId).Start(CallPayload("x") + "begin ", false, large);
  Until([&] { return process.questions.size() == 1; });
  EXPECT_EQ(process.questions[0].frame, CallPayload("x") + "begin the rest");
  exchange->Cancel();
}

}  // namespace
}  // namespace penstock
