// Routers and replicas over real sockets: admission, refusal, order, draining, death.
#include <gtest/gtest.h>
#include <sys/epoll.h>

#include <memory>
#include <string>
#include <vector>

#include "base/protocol.h"
#include "base/socket.h"
#include "support/router_fixture.h"

namespace penstock {
namespace {

using base::RequestHead;
using route::Exchange;
using route::Failure;
using route::RouteUpdate;
using testing_support::Caller;
using testing_support::CallPayload;
using testing_support::kId;
using testing_support::Replica;
using testing_support::RouterReplicaTest;

TEST_F(RouterReplicaTest, ARequestIsAnswered) {
  Replica& replica = AddReplica(5);
  Caller caller;
  const auto exchange = Ask(caller, "hello");
  Until([&] { return replica.code.calls.size() == 1; });
  EXPECT_EQ(replica.code.calls[0]->head().method, "hello");
  EXPECT_EQ(exchange->replica(), "r0");
  replica.code.calls[0]->Reply("result", false);
  Until([&] { return caller.done; });
  EXPECT_EQ(caller.body, "result");
  EXPECT_TRUE(exchange->done());
  EXPECT_EQ(replica.runtime.ongoing(), 0);
}

TEST_F(RouterReplicaTest, RequestsWaitForTheFirstReplica) {
  Caller caller;
  Ask(caller, "early");
  EXPECT_EQ(router_.Queue(kId).queued(), 1u);
  Replica& replica = AddReplica(1);
  Until([&] { return replica.code.calls.size() == 1; });
  EXPECT_EQ(router_.Queue(kId).queued(), 0u);
}

// A replica that says it speaks another version of the wire.
class Foreigner final : private base::FdHandler {
 public:
  Foreigner(base::Loop& loop, const std::string& path)
      : loop_(loop), listener_(*base::ListenUnix(path)) {
    loop_.Watch(listener_.get(), EPOLLIN, *this);
  }
  ~Foreigner() override { loop_.Unwatch(listener_.get(), *this); }

  // Says hello, after whatever the router sent on the strength of a connection.
  void Hello() {
    connection_->Send(base::HelloHead(), base::EncodeHello({.version = 999, .role = "replica"}));
  }

  int requests = 0;

 private:
  void OnEvents(std::uint32_t) override {
    connection_ = base::Connection::Open(
        loop_, base::Accept(listener_), base::kMaxDataPayload,
        {.on_frame =
             [this](const base::Frame& frame) {
               requests += frame.head.kind == base::FrameKind::kRequest ? 1 : 0;
             },
         .on_closed = [](const std::string&) {}});
  }

  base::Loop& loop_;
  base::UniqueFd listener_;
  std::shared_ptr<base::Connection> connection_;
};

TEST_F(RouterReplicaTest, WhatWasSentToAReplicaOfAnotherVersionFails) {
  Foreigner foreigner(*loop_, Path("foreign"));
  route_.replicas.push_back({.id = "foreign", .socket = Path("foreign"), .node = "n"});
  Publish();
  Caller caller;
  Ask(caller, "hello");
  Until([&] { return foreigner.requests == 1; });
  foreigner.Hello();
  Until([&] { return caller.done; });
  ASSERT_TRUE(caller.failure);
  EXPECT_EQ(caller.failure->kind, Failure::Kind::kReplicaDied);
  EXPECT_NE(caller.failure->message.find("version"), std::string::npos) << caller.failure->message;
  Caller late;
  Ask(late, "again");
  EXPECT_EQ(router_.Queue(kId).queued(), 1u) << "it waits for one that can be understood";
}

TEST_F(RouterReplicaTest, NeverMoreThanTheLimitRunsAndOrderIsKept) {
  Replica& replica = AddReplica(2);
  std::vector<Caller> callers(6);
  for (std::size_t i = 0; i < callers.size(); ++i) Ask(callers[i], std::to_string(i));
  for (std::size_t finished = 0; finished < 6; ++finished) {
    const std::size_t running = std::min<std::size_t>(finished + 2, 6);
    Until([&] { return replica.code.calls.size() == running; });
    EXPECT_LE(replica.runtime.ongoing(), 2);
    EXPECT_EQ(replica.code.calls[finished]->head().method, std::to_string(finished));
    replica.code.calls[finished]->Reply("", false);
  }
  Until([&] { return callers[5].done; });
}

// Two routers, one slot: the second is refused, waits, and is told when the slot is free.
TEST_F(RouterReplicaTest, ARefusedRequestWaitsForAFreeSlotWithoutPolling) {
  Replica& replica = AddReplica(1);
  route::Router other(*loop_);
  RouteUpdate update{.epoch = 1};
  update.deployments.push_back(route_);
  other.Apply(update);
  Caller first;
  Caller second;
  Ask(first, "first");
  Until([&] { return replica.code.calls.size() == 1; });
  std::string payload;
  base::AppendRequestHead(payload, RequestHead{.kind = base::CallKind::kCall, .method = "second"});
  second.exchange = other.Queue(kId).Start(payload, true, second);
  Settle();
  EXPECT_EQ(replica.code.calls.size(), 1u);
  EXPECT_EQ(other.Queue(kId).queued(), 1u);
  replica.code.calls[0]->Reply("", false);
  Until([&] { return replica.code.calls.size() == 2; });
  EXPECT_EQ(replica.code.calls[1]->head().method, "second");
}

TEST_F(RouterReplicaTest, ARefusedRequestGoesToTheNextCandidate) {
  Replica& busy = AddReplica(1);
  route::Router other(*loop_);
  RouteUpdate update{.epoch = 1};
  update.deployments.push_back(route_);
  other.Apply(update);
  Caller blocker;
  std::string payload;
  base::AppendRequestHead(payload, RequestHead{.kind = base::CallKind::kCall, .method = "block"});
  blocker.exchange = other.Queue(kId).Start(payload, true, blocker);
  Until([&] { return busy.code.calls.size() == 1; });
  Replica& free = AddReplica(1);
  Caller caller;
  Ask(caller, "x");  // may be sent to the busy one first: this router does not know better
  Until([&] { return free.code.calls.size() == 1; });
}

TEST_F(RouterReplicaTest, TheQueueIsBounded) {
  Replica& replica = AddReplica(1);
  route_.max_queued_requests = 1;
  route_.backpressure = {.status_code = 429, .retry_after_s = 1.5};
  Publish();
  Caller running;
  Caller queued;
  Caller refused;
  Ask(running, "a");
  Until([&] { return replica.code.calls.size() == 1; });
  Ask(queued, "b");
  const auto exchange = Ask(refused, "c");
  ASSERT_TRUE(refused.failure);
  EXPECT_TRUE(exchange->done());
  EXPECT_EQ(refused.failure->kind, Failure::Kind::kBackpressure);
  EXPECT_EQ(refused.failure->message,
            "Request dropped due to backpressure (num_queued_requests=1, max_queued_requests=1).");
  EXPECT_EQ(refused.failure->backpressure.status_code, 429);
}

TEST_F(RouterReplicaTest, CancellingAQueuedRequestMeansItNeverRuns) {
  Replica& replica = AddReplica(1);
  Caller a;
  Caller b;
  Caller c;
  Ask(a, "a");
  const auto queued = Ask(b, "b");
  Ask(c, "c");
  Until([&] { return replica.code.calls.size() == 1; });
  queued->Cancel();
  replica.code.calls[0]->Reply("", false);
  Until([&] { return replica.code.calls.size() == 2; });
  EXPECT_EQ(replica.code.calls[1]->head().method, "c");
  EXPECT_FALSE(b.done);
}

TEST_F(RouterReplicaTest, CancellingARunningRequestTellsTheReplicaAndFreesItsSlot) {
  Replica& replica = AddReplica(1);
  Caller caller;
  const auto exchange = Ask(caller, "a");
  Until([&] { return replica.code.calls.size() == 1; });
  exchange->Cancel();
  Until([&] { return replica.code.cancelled == 1; });
  EXPECT_EQ(replica.runtime.ongoing(), 0);
  replica.code.calls[0]->Reply("too late", false);
  Settle();
  EXPECT_EQ(caller.body, "");
}

TEST_F(RouterReplicaTest, ADrainingReplicaFinishesItsRequestsAndTheRestGoElsewhere) {
  Replica& old = AddReplica(1);
  Caller running;
  Caller waiting;
  Ask(running, "running");
  Until([&] { return old.code.calls.size() == 1; });
  Ask(waiting, "waiting");
  bool drained = false;
  old.runtime.Drain([&] { drained = true; });
  Settle();
  EXPECT_FALSE(drained);
  Replica& fresh = AddReplica(1);
  Until([&] { return fresh.code.calls.size() == 1; });
  EXPECT_EQ(fresh.code.calls[0]->head().method, "waiting");
  old.code.calls[0]->Reply("done", false);
  Until([&] { return running.done && drained; });
  EXPECT_EQ(running.body, "done");
}

// Requests that were under way when the replica began to leave were not admitted: none is lost.
TEST_F(RouterReplicaTest, RequestsThatCrossTheGoodbyeAreSentElsewhere) {
  Replica& old = AddReplica(100);
  Settle();
  std::vector<Caller> callers(20);
  for (auto& caller : callers) Ask(caller, "x");
  old.runtime.Drain([] {});  // before it has read any of them
  Replica& fresh = AddReplica(100);
  fresh.code.on_start = [](const auto& call) { call->Reply("fresh", false); };
  Until([&] {
    return std::all_of(callers.begin(), callers.end(), [](const Caller& c) { return c.done; });
  });
  for (const Caller& caller : callers) EXPECT_EQ(caller.body, "fresh");
  EXPECT_TRUE(old.code.calls.empty());
}

TEST_F(RouterReplicaTest, ADeadReplicaFailsWhatItHeldAndNothingElse) {
  AddReplica(1);
  Caller held;
  Caller waiting;
  Ask(held, "held");
  Until([&] { return replicas_[0]->code.calls.size() == 1; });
  Ask(waiting, "waiting");
  replicas_[0].reset();
  Until([&] { return held.done; });
  EXPECT_EQ(held.failure->kind, Failure::Kind::kReplicaDied);
  EXPECT_FALSE(waiting.done);
  Replica& fresh = AddReplica(1);
  Until([&] { return fresh.code.calls.size() == 1; });
}

TEST_F(RouterReplicaTest, AReplicaThatIsNoLongerListedGetsNothingNewButFinishes) {
  Replica& old = AddReplica(5);
  Caller running;
  Ask(running, "running");
  Until([&] { return old.code.calls.size() == 1; });
  route_.replicas.clear();
  Publish();
  Caller later;
  Ask(later, "later");
  Settle();
  EXPECT_EQ(old.code.calls.size(), 1u);
  old.code.calls[0]->Reply("ok", false);
  Until([&] { return running.done; });
  EXPECT_EQ(running.body, "ok");
}

TEST_F(RouterReplicaTest, AnUnavailableDeploymentFailsItsCallersAtOnce) {
  Caller waiting;
  Ask(waiting, "x");
  route_.available = false;
  Publish();
  ASSERT_TRUE(waiting.failure);
  EXPECT_EQ(waiting.failure->kind, Failure::Kind::kUnavailable);
  EXPECT_EQ(waiting.failure->message,
            "Deployment(name='d', app='app') is unavailable because it failed to deploy.");
  Caller later;
  Ask(later, "y");
  EXPECT_TRUE(later.done);
}

TEST_F(RouterReplicaTest, BodiesFlowByCreditInBothDirections) {
  Replica& replica = AddReplica(1);
  Caller caller;
  const auto exchange = Ask(caller, "upload", /*end=*/false);
  Until([&] { return caller.credit > 0; });
  EXPECT_EQ(caller.credit, base::kBodyWindow);
  exchange->SendBody(std::string(200'000, 'u'), false);
  auto& call = *replica.code.calls.at(0);
  std::string received;
  Until([&] {
    received += call.TakeBody();
    return received.size() == 200'000;
  });
  Until([&] { return caller.credit == base::kBodyWindow + 200'000; });
  exchange->SendBody("end", true);
  Until([&] { return call.body_ended(); });
  EXPECT_EQ(call.TakeBody(), "end");

  call.Send(std::string(base::kBodyWindow, 'd'), false);
  EXPECT_FALSE(call.writable());
  bool writable = false;
  call.SetOnWritable([&] { writable = true; });
  Until([&] { return caller.body.size() == base::kBodyWindow; });
  Settle();
  EXPECT_FALSE(writable) << "the caller has not consumed yet";
  exchange->GrantCredit(base::kBodyWindow);
  Until([&] { return writable; });
  call.Send("", true);
  Until([&] { return caller.done; });
}

// More than the window, of which every byte has its place.
std::string LargeBody(std::size_t size) {
  std::string body(size, '\0');
  for (std::size_t i = 0; i < size; ++i) body[i] = static_cast<char>(i * 31 + i / 251);
  return body;
}

TEST_F(RouterReplicaTest, AReplyThatIsReadSlowlyHoldsNoSlot) {
  Replica& replica = AddReplica(1);
  Caller slow;
  const auto exchange = Ask(slow, "large");
  Until([&] { return replica.code.calls.size() == 1; });
  const std::string body = LargeBody(3 * base::kBodyWindow);
  replica.code.calls[0]->Reply(body, false);
  EXPECT_EQ(replica.runtime.ongoing(), 0);
  Until([&] { return slow.body.size() == base::kBodyWindow; });
  Settle();
  EXPECT_EQ(slow.body.size(), base::kBodyWindow) << "the rest waits in the replica";

  Caller next;
  Ask(next, "next");
  Until([&] { return replica.code.calls.size() == 2; });
  bool drained = false;
  replica.runtime.Drain([&] { drained = true; });
  replica.code.calls[1]->Reply("ok", false);
  Until([&] { return next.done; });
  Settle();
  EXPECT_FALSE(drained) << "a reply has not left yet";

  for (std::size_t granted = base::kBodyWindow; !slow.done;) {
    exchange->GrantCredit(400'000);
    granted += 400'000;
    Until([&] { return slow.done || slow.body.size() >= granted; });
  }
  EXPECT_TRUE(slow.body == body);
  EXPECT_TRUE(drained);
}

TEST_F(RouterReplicaTest, WhoGivesUpOnALargeReplyFreesIt) {
  Replica& replica = AddReplica(1);
  Caller caller;
  const auto exchange = Ask(caller, "large");
  Until([&] { return replica.code.calls.size() == 1; });
  replica.code.calls[0]->Reply(LargeBody(3 * base::kBodyWindow), false);
  Until([&] { return caller.body.size() == base::kBodyWindow; });
  exchange->Cancel();
  bool drained = false;
  replica.runtime.Drain([&] { drained = true; });
  Until([&] { return drained; });
  EXPECT_EQ(replica.code.cancelled, 0) << "user code was done with it";
}

TEST_F(RouterReplicaTest, LargeArgumentsArriveWhole) {
  Replica& replica = AddReplica(2);
  for (const std::size_t size : {100'000u, 256'000u, 5'000'000u}) {
    const std::string body = LargeBody(size);
    const std::size_t inlined = std::min<std::size_t>(size, 256'000);
    Caller caller;
    const bool end = inlined == size;
    caller.exchange =
        router_.Queue(kId).Start(CallPayload("x") + body.substr(0, inlined), end, caller);
    Until([&] { return !replica.code.calls.empty(); });
    const auto call = std::exchange(replica.code.calls, {}).at(0);
    std::string received = call->TakeBody();
    if (!end) {
      Until([&] { return caller.credit > 0; });
      caller.exchange->SendBody(std::string_view(body).substr(inlined), true);
    }
    Until([&] {
      received += call->TakeBody();
      return call->body_ended();
    });
    EXPECT_TRUE(received == body) << size;
    call->Reply("ok", false);
    Until([&] { return caller.done; });
  }
}

TEST_F(RouterReplicaTest, RaisingTheLimitLetsWaitersIn) {
  Replica& replica = AddReplica(1);
  std::vector<Caller> callers(3);
  for (auto& caller : callers) Ask(caller, "x");
  Until([&] { return replica.code.calls.size() == 1; });
  replica.runtime.SetMaxOngoing(3);
  route_.max_ongoing_requests = 3;
  Publish();
  Until([&] { return replica.code.calls.size() == 3; });
}

TEST_F(RouterReplicaTest, LoadIsWhatWaitsAndRuns) {
  AddReplica(2);
  std::vector<Caller> callers(5);
  for (auto& caller : callers) Ask(caller, "x");
  Until([&] { return replicas_[0]->code.calls.size() == 2; });
  const route::Load load = router_.Queue(kId).Sample();
  EXPECT_EQ(load.queued, 3);
  EXPECT_EQ(load.running, (std::map<std::string, int>{{"r0", 2}}));
}

// ---- slots that are held for a request to come ----

TEST_F(RouterReplicaTest, AHeldSlotIsTheRequestThatComesAsItsBody) {
  Replica& replica = AddReplica(1);
  Caller caller;
  caller.exchange = router_.Queue(kId).Start(
      testing_support::CallPayload("planned", "", "", base::kHold), false, caller);
  Until([&] { return caller.credit > 0; });
  EXPECT_EQ(replica.runtime.ongoing(), 1);
  EXPECT_TRUE(replica.code.calls.empty()) << "user code knows nothing of it yet";
  Caller second;
  Ask(second, "waits");
  Settle();
  EXPECT_EQ(router_.Queue(kId).queued(), 1u);
  const std::string request = testing_support::CallPayload("done", "m", "s") + "arguments";
  caller.exchange->SendBody(request.substr(0, 5), false);
  Settle();
  EXPECT_TRUE(replica.code.calls.empty());
  caller.exchange->SendBody(request.substr(5), true);
  Until([&] { return replica.code.calls.size() == 1; });
  replica::Call& call = *replica.code.calls[0];
  EXPECT_EQ(call.head().method, "done");
  EXPECT_EQ(call.head().multiplexed_model_id, "m");
  EXPECT_EQ(call.head().session_id, "s");
  EXPECT_TRUE(call.body_ended());
  EXPECT_EQ(call.TakeBody(), "arguments");
  call.Reply("result", false);
  Until([&] { return caller.done && replica.code.calls.size() == 2; });
  EXPECT_EQ(caller.body, "result");
}

TEST_F(RouterReplicaTest, AHeldSlotThatIsGivenBackIsFreeAndUserCodeNeverKnew) {
  Replica& replica = AddReplica(1);
  Caller caller;
  caller.exchange = router_.Queue(kId).Start(
      testing_support::CallPayload("planned", "", "", base::kHold), false, caller);
  Until([&] { return caller.credit > 0; });
  caller.exchange->Cancel();
  Until([&] { return replica.runtime.ongoing() == 0; });
  EXPECT_EQ(replica.code.cancelled, 0);
  EXPECT_TRUE(replica.code.calls.empty());
}

TEST_F(RouterReplicaTest, WhatIsNoRequestEndsTheConnectionOfTheSlot) {
  Replica& replica = AddReplica(1);
  Caller caller;
  caller.exchange = router_.Queue(kId).Start(
      testing_support::CallPayload("planned", "", "", base::kHold), false, caller);
  Until([&] { return caller.credit > 0; });
  caller.exchange->SendBody("nonsense", true);
  Until([&] { return caller.done; });
  EXPECT_EQ(caller.failure->kind, Failure::Kind::kReplicaDied);
  EXPECT_EQ(replica.runtime.ongoing(), 0);
}

// ---- stats ----

TEST_F(RouterReplicaTest, WhatAReplicaSaysForRoutersReachesThem) {
  Replica& replica = AddReplica(1);
  int news = 0;
  router_.Queue(kId).SetOnNews([&] { ++news; });
  const auto told = [&] { return router_.Queue(kId).Replicas().at(0); };
  Until([&] { return told().alive; });
  EXPECT_EQ(told().stats, "");
  ASSERT_TRUE(replica.runtime.SetStats("{\"a\":1}").ok());
  Until([&] { return told().stats == "{\"a\":1}"; });
  EXPECT_GT(news, 0);
  EXPECT_EQ(replica.runtime.SetStats(std::string(base::kMaxDataPayload + 1, 'x')).code(),
            Code::kInvalidArgument);
  route::Router late(*loop_);
  Publish(late);
  Until([&] { return late.Queue(kId).Replicas().at(0).stats == "{\"a\":1}"; });
  replicas_[0].reset();
  Until([&] { return !told().alive; });
  EXPECT_EQ(told().stats, "");
}

TEST_F(RouterReplicaTest, APeerThatIsNoRouterIsClosed) {
  Replica& replica = AddReplica(1);
  auto pair = *base::MakeSocketPair();
  replica.runtime.Adopt(std::move(pair.ours));
  ASSERT_GT(::write(pair.theirs.get(), "GET / HTTP/1.1\r\n\r\n", 18), 0);
  char byte;
  Until([&] { return ::read(pair.theirs.get(), &byte, 1) == 0; });
}

}  // namespace
}  // namespace penstock
