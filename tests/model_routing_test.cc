// Requests that ask for a model, and requests for one replica alone, over real sockets.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "support/router_fixture.h"

namespace penstock {
namespace {

using route::Failure;
using testing_support::Caller;
using testing_support::CallPayload;
using testing_support::kId;
using testing_support::Replica;
using testing_support::RouterReplicaTest;

class ModelRoutingTest : public RouterReplicaTest {
 protected:
  void AskFor(Caller& caller, const std::string& model) { Ask(caller, "x", true, model); }

  // Announces, and waits until the router has heard.
  void SetModels(Replica& replica, std::vector<std::string> models) {
    replica.runtime.SetModels(std::move(models));
    Settle();
  }
};

TEST_F(ModelRoutingTest, RequestsGoWhereTheirModelIs) {
  Replica& a = AddReplica(100);
  Replica& b = AddReplica(100);
  SetModels(a, {"one", "two"});
  SetModels(b, {"three"});
  std::vector<Caller> callers(30);
  for (std::size_t i = 0; i < callers.size(); ++i) AskFor(callers[i], i % 3 == 0 ? "three" : "two");
  Until([&] { return a.code.calls.size() + b.code.calls.size() == 30; });
  EXPECT_EQ(b.code.calls.size(), 10u);
  for (const auto& call : b.code.calls) EXPECT_EQ(call->head().multiplexed_model_id, "three");
}

TEST_F(ModelRoutingTest, AModelThatNobodyHasGoesWhereTheFewestAre) {
  Replica& a = AddReplica(100);
  Replica& b = AddReplica(100);
  SetModels(a, {"one", "two"});
  SetModels(b, {"three"});
  std::vector<Caller> callers(10);
  for (Caller& caller : callers) AskFor(caller, "new");
  Until([&] { return b.code.calls.size() == 10; });
}

// Between a request for a new model and the news that it is loaded, the next ones follow it.
TEST_F(ModelRoutingTest, RequestsForANewModelStayTogether) {
  Replica& a = AddReplica(100);
  Replica& b = AddReplica(100);
  SetModels(a, {"one"});
  SetModels(b, {"two"});
  std::vector<Caller> callers(20);
  for (Caller& caller : callers) AskFor(caller, "new");
  Until([&] { return a.code.calls.size() + b.code.calls.size() == 20; });
  EXPECT_TRUE(a.code.calls.empty() || b.code.calls.empty());
}

TEST_F(ModelRoutingTest, IdsMeanNothingToCodeThatKeepsNoModels) {
  Replica& a = AddReplica(100);
  Replica& b = AddReplica(100);
  Settle();
  std::vector<Caller> callers(20);
  for (Caller& caller : callers) AskFor(caller, "same");
  Until([&] { return a.code.calls.size() + b.code.calls.size() == 20; });
  EXPECT_EQ(a.code.calls.size(), 10u);
}

TEST_F(ModelRoutingTest, ARouterThatConnectsLaterHearsOfModelsToo) {
  AddReplica(100);
  Replica& b = AddReplica(100);
  b.runtime.SetModels({"one"});
  route::Router later(*loop_);
  Publish(later);
  Settle();
  std::vector<Caller> callers(10);
  for (Caller& caller : callers) {
    caller.exchange = later.Queue(kId).Start(CallPayload("x", "one"), true, caller);
  }
  Until([&] { return b.code.calls.size() == 10; });
}

TEST_F(ModelRoutingTest, WhileItsReplicaIsFullARequestWaitsAndOthersPass) {
  Replica& a = AddReplica(1);
  SetModels(a, {"one"});
  Caller running;
  AskFor(running, "one");
  Until([&] { return a.code.calls.size() == 1; });
  Replica& b = AddReplica(1);
  Settle();
  Caller patient;
  AskFor(patient, "one");
  Caller second;
  AskFor(second, "one");
  EXPECT_EQ(router_.Queue(kId).queued(), 2u);
  Caller other;
  Ask(other, "plain");
  Until([&] { return b.code.calls.size() == 1; });
  EXPECT_EQ(b.code.calls[0]->head().method, "plain");
  a.code.calls[0]->Reply("", false);
  Until([&] { return a.code.calls.size() == 2; });
  EXPECT_EQ(router_.Queue(kId).queued(), 1u);
}

TEST_F(ModelRoutingTest, PatienceEndsAndTheModelIsLoadedOnceMore) {
  router_.Queue(kId).SetPatience(std::chrono::milliseconds(50));
  Replica& a = AddReplica(1);
  SetModels(a, {"one"});
  Caller running;
  AskFor(running, "one");
  Until([&] { return a.code.calls.size() == 1; });
  Replica& b = AddReplica(1);
  Settle();
  const TimePoint asked = loop_->clock().Now();
  std::vector<Caller> patient(2);
  for (Caller& caller : patient) AskFor(caller, "one");
  Until([&] { return b.code.calls.size() == 1; });
  EXPECT_GE(loop_->clock().Now() - asked, std::chrono::milliseconds(50));
  EXPECT_EQ(router_.Queue(kId).queued(), 1u);
  b.code.calls[0]->Reply("", false);
  Until([&] { return b.code.calls.size() == 2; });
}

TEST_F(ModelRoutingTest, AReplicaThatLeavesIsNotWaitedFor) {
  Replica& a = AddReplica(1);
  SetModels(a, {"one"});
  Caller running;
  AskFor(running, "one");
  Until([&] { return a.code.calls.size() == 1; });
  Replica& b = AddReplica(1);
  Caller patient;
  AskFor(patient, "one");
  EXPECT_EQ(router_.Queue(kId).queued(), 1u);
  a.runtime.Drain([] {});
  Until([&] { return b.code.calls.size() == 1; });
}

TEST_F(ModelRoutingTest, APatientRequestCanBeCancelled) {
  Replica& a = AddReplica(1);
  SetModels(a, {"one"});
  Caller running;
  AskFor(running, "one");
  Until([&] { return a.code.calls.size() == 1; });
  Replica& b = AddReplica(1);
  {
    Caller patient;
    AskFor(patient, "one");
  }
  EXPECT_EQ(router_.Queue(kId).queued(), 0u);
  Caller other;
  Ask(other, "plain");
  Until([&] { return b.code.calls.size() == 1; });
}

// ---- for one replica alone ----

TEST_F(ModelRoutingTest, ARequestForOneReplicaRunsThereEvenIfItIsFull) {
  Replica& a = AddReplica(1);
  Replica& b = AddReplica(1);
  Settle();
  std::vector<Caller> callers(3);
  for (Caller& caller : callers) {
    caller.exchange = router_.Queue(kId).StartAt("r1", CallPayload("x"), true, caller);
    EXPECT_EQ(caller.exchange->replica(), "r1");
  }
  Until([&] { return b.code.calls.size() == 3; });
  EXPECT_TRUE(a.code.calls.empty());
  EXPECT_EQ(b.runtime.ongoing(), 3);
}

TEST_F(ModelRoutingTest, ARequestForAReplicaThatIsGoneFails) {
  Replica& a = AddReplica(5);
  Settle();
  Caller unknown;
  unknown.exchange = router_.Queue(kId).StartAt("r9", CallPayload("x"), true, unknown);
  ASSERT_TRUE(unknown.failure);
  EXPECT_EQ(unknown.failure->kind, Failure::Kind::kReplicaGone);
  EXPECT_EQ(unknown.failure->message,
            "Replica(id='r9', deployment='d', app='app') is not available.");
  Caller crossed;
  crossed.exchange = router_.Queue(kId).StartAt("r0", CallPayload("x"), true, crossed);
  a.runtime.Drain([] {});  // before it has read it
  Until([&] { return crossed.done; });
  EXPECT_EQ(crossed.failure->kind, Failure::Kind::kReplicaGone);
  EXPECT_TRUE(a.code.calls.empty());
}

TEST_F(ModelRoutingTest, WhenADeploymentIsKnownWhoWaitedForThatIsTold) {
  int told = 0;
  router_.Queue(kId).WhenKnown([&] { ++told; });
  EXPECT_EQ(told, 0);
  AddReplica(1);
  EXPECT_EQ(told, 1);
  router_.Queue(kId).WhenKnown([&] { ++told; });
  EXPECT_EQ(told, 2);
}

}  // namespace
}  // namespace penstock
