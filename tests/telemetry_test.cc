// What a replica logs and counts of its requests, over real sockets.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/ws_message.h"
#include "support/router_fixture.h"

namespace penstock {
namespace {

using base::CallKind;
using testing::ContainsRegex;
using testing::HasSubstr;
using testing_support::Caller;
using testing_support::kId;
using testing_support::Replica;
using testing_support::RouterReplicaTest;
using Json = nlohmann::json;

class TelemetryTest : public RouterReplicaTest {
 protected:
  static Json Logging() {
    return {{"json", false},
            {"log_level", 20},
            {"logs_dir", ""},
            {"enable_access_log", true},
            {"additional_log_standard_attrs", Json::array()}};
  }

  // A replica that logs to Path("log").
  Replica& Begin(const Json& logging = Logging()) {
    Replica& replica = AddReplica(5);
    const Status status = replica.runtime.telemetry().Begin(
        {{"replica", {{"app", "app"}, {"deployment", "D"}, {"unique", "r1"}}},
         {"node", {{"id", "n"}}},
         {"log", Path("log")},
         {"logging", logging}});
    EXPECT_TRUE(status.ok()) << status.message();
    return replica;
  }

  // Has a request handled by `then` and waits for its end.
  void Request(Replica& replica, const base::RequestHead& head,
               const std::function<void(replica::Call&)>& then) {
    std::string payload;
    base::AppendRequestHead(payload, head);
    Caller caller;
    replica.code.on_start = [&](const std::shared_ptr<replica::Call>& call) { then(*call); };
    caller.exchange = router_.Queue(kId).Start(payload, /*end=*/true, caller);
    Until([&] { return caller.done; });
  }

  std::string Log(Replica& replica, const std::string& name = "log") {
    replica.runtime.telemetry().Flush();
    const auto text = base::ReadFile(Path(name));
    return text.ok() ? *text : "";
  }

  // The value of a sample, of the family with this name and the tags in its order; -1 for none.
  static double Value(Replica& replica, const std::string& name,
                      const std::vector<std::string>& tags) {
    for (const auto& family : replica.runtime.telemetry().Metrics(replica.runtime.ongoing())) {
      if (family.name != name) continue;
      for (const auto& sample : family.samples) {
        if (sample.tags == tags) return sample.value;
      }
    }
    return -1;
  }
};

base::RequestHead Http() {
  return {.kind = CallKind::kHttp,
          .request_id = "id-1",
          .app = "app",
          .route = "/conv",
          .method = "GET",
          .target = "/conv/x"};
}

TEST_F(TelemetryTest, AnHttpRequestIsALineAndACount) {
  Replica& replica = Begin();
  Request(replica, Http(), [](auto& call) { testing_support::AnswerHttp(call, "ok"); });
  EXPECT_THAT(Log(replica), ContainsRegex("^INFO [-0-9]+ [:,0-9]+ app_D r1 id-1 -- GET /conv 200 "
                                          "[0-9]+\\.[0-9]ms\n$"));
  const std::vector<std::string> tags{"/conv", "D", "r1", "app"};
  EXPECT_EQ(Value(replica, "serve_deployment_request_counter", tags), 1);
  EXPECT_GE(Value(replica, "serve_deployment_processing_latency_ms", tags), 0);
  EXPECT_EQ(Value(replica, "serve_replica_processing_queries", {"D", "r1", "app"}), 0);
  EXPECT_EQ(Value(replica, "serve_deployment_replica_starts", {"D", "r1", "app"}), 1);
}

TEST_F(TelemetryTest, ACallIsALineWithItsMethod) {
  Replica& replica = Begin();
  const base::RequestHead call{
      .kind = CallKind::kCall, .request_id = "id-2", .route = "/r", .method = "predict"};
  Request(replica, call, [](auto& c) { c.Reply("P", false); });
  Request(replica, call, [](auto& c) { c.Reply("P", true); });
  const std::string log = Log(replica);
  EXPECT_THAT(log, ContainsRegex("id-2 -- CALL predict OK [0-9.]+ms\n"));
  EXPECT_THAT(log, ContainsRegex("id-2 -- CALL predict ERROR [0-9.]+ms\n"));
  EXPECT_EQ(Value(replica, "serve_deployment_request_counter", {"/r", "D", "r1", "app"}), 1);
  EXPECT_EQ(Value(replica, "serve_deployment_error_counter", {"/r", "Exception", "D", "r1", "app"}),
            1);
}

TEST_F(TelemetryTest, ACallOverGrpcIsALineWithItsMethod) {
  Replica& replica = Begin();
  Request(replica,
          {.kind = CallKind::kGrpc, .request_id = "id-3", .route = "app", .method = "Predict"},
          [](auto& c) { c.Reply("P", false); });
  EXPECT_THAT(Log(replica), ContainsRegex("id-3 -- CALL Predict OK [0-9.]+ms\n"));
}

TEST_F(TelemetryTest, ASlotThatNobodyUsedIsNoRequest) {
  Replica& replica = Begin();
  const auto hold = [&](Caller& caller) {
    caller.exchange = router_.Queue(kId).Start(
        testing_support::CallPayload("planned", "", "", base::kHold), /*end=*/false, caller);
    Until([&] { return caller.credit > 0; });
  };
  Caller unused;
  hold(unused);
  unused.exchange->Cancel();
  Until([&] { return replica.runtime.ongoing() == 0; });
  EXPECT_EQ(Log(replica), "");
  Caller used;
  hold(used);
  replica.code.on_start = [](const auto& call) { call->Reply("P", false); };
  used.exchange->SendBody(testing_support::CallPayload("done", "", ""), true);
  Until([&] { return used.done; });
  EXPECT_THAT(Log(replica), HasSubstr(" -- CALL done OK "));
}

TEST_F(TelemetryTest, AnErrorIsCountedByTheTypeOfItsException) {
  Replica& replica = Begin();
  Request(replica, Http(), [](auto& call) {
    call.NoteFailure("ValueError");
    call.Reply({.status = 500}, "", /*end=*/true);
  });
  EXPECT_THAT(Log(replica), HasSubstr("GET /conv 500 "));
  EXPECT_EQ(
      Value(replica, "serve_deployment_error_counter", {"/conv", "ValueError", "D", "r1", "app"}),
      1);
  EXPECT_EQ(Value(replica, "serve_deployment_request_counter", {"/conv", "D", "r1", "app"}), 0);
}

TEST_F(TelemetryTest, TheRouteThatTheApplicationFoundIsTheRoute) {
  Replica& replica = Begin();
  Request(replica, Http(), [](auto& call) {
    call.SetRoute("/conv/{id}");
    testing_support::AnswerHttp(call, "ok");
  });
  EXPECT_THAT(Log(replica), HasSubstr("GET /conv/{id} 200 "));
  EXPECT_EQ(Value(replica, "serve_deployment_request_counter", {"/conv/{id}", "D", "r1", "app"}),
            1);
}

TEST_F(TelemetryTest, WhatIsCancelledIsNeitherASuccessNorAnError) {
  Replica& replica = Begin();
  Caller caller;
  Ask(caller, "slow");
  Until([&] { return replica.code.calls.size() == 1; });
  caller.exchange->Cancel();
  Until([&] { return replica.code.cancelled == 1; });
  EXPECT_THAT(Log(replica), HasSubstr("CALL slow CANCELLED "));
  EXPECT_EQ(Value(replica, "serve_deployment_request_counter", {"", "D", "r1", "app"}), 0);
  EXPECT_EQ(Value(replica, "serve_deployment_error_counter", {"", "Exception", "D", "r1", "app"}),
            -1);
}

TEST_F(TelemetryTest, AWebSocketHasTheCodeOfItsEnd) {
  Replica& replica = Begin();
  auto head = Http();
  head.kind = CallKind::kWebSocket;
  Request(replica, head, [](auto& call) {
    call.Reply({.status = 101}, "", /*end=*/false);
    call.SetStatus(1001);
    call.Send("", /*end=*/true);
  });
  EXPECT_THAT(Log(replica), HasSubstr("WS /conv 1001 "));
}

TEST_F(TelemetryTest, ALineOfAModelNamesIt) {
  Replica& replica = Begin();
  auto head = Http();
  head.multiplexed_model_id = "m1";
  Request(replica, head, [](auto& call) { testing_support::AnswerHttp(call, "ok"); });
  EXPECT_THAT(Log(replica), HasSubstr("r1 id-1 model=m1 -- GET"));
}

TEST_F(TelemetryTest, LoggingIsChangedWhileItRuns) {
  Replica& replica = Begin();
  const auto answer = [](auto& call) { testing_support::AnswerHttp(call, "ok"); };
  auto& telemetry = replica.runtime.telemetry();
  auto logging = Logging();
  logging["enable_access_log"] = false;
  ASSERT_TRUE(telemetry.SetLogging(logging).ok());
  Request(replica, Http(), answer);
  EXPECT_EQ(Log(replica), "");
  logging["enable_access_log"] = true;
  logging["log_level"] = 30;  // access lines are of level 20
  ASSERT_TRUE(telemetry.SetLogging(logging).ok());
  Request(replica, Http(), answer);
  EXPECT_EQ(Log(replica), "");
  logging["log_level"] = 20;
  logging["json"] = true;
  logging["logs_dir"] = Path("made/for/it");
  ASSERT_TRUE(telemetry.SetLogging(logging).ok());
  Request(replica, Http(), answer);
  EXPECT_EQ(Log(replica), "");
  const Json line = Json::parse(Log(replica, "made/for/it/log"));
  EXPECT_EQ(line.at("request_id"), "id-1");
  EXPECT_EQ(line.at("application"), "app");
  EXPECT_EQ(line.at("deployment"), "app_D");
  EXPECT_EQ(line.at("replica"), "r1");
  EXPECT_EQ(line.at("component_name"), "replica");
  EXPECT_EQ(line.at("node_id"), "n");
  EXPECT_EQ(Value(replica, "serve_deployment_request_counter", {"/conv", "D", "r1", "app"}), 3);
}

TEST_F(TelemetryTest, AFolderThatCannotBeMadeIsNamed) {
  Replica& replica = Begin();
  ASSERT_TRUE(base::WriteFileAtomic(Path("file"), "").ok());
  auto logging = Logging();
  logging["logs_dir"] = Path("file/below");
  const Status status = replica.runtime.telemetry().SetLogging(logging);
  EXPECT_EQ(status.code(), Code::kInvalidArgument);
  EXPECT_THAT(status.message(), HasSubstr("logging_config.logs_dir"));
  EXPECT_THAT(status.message(), HasSubstr(Path("file/below")));
}

}  // namespace
}  // namespace penstock
