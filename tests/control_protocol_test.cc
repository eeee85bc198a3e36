// The controller's end of the control protocol, told things of the wrong form.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "base/log.h"
#include "base/peer.h"
#include "base/socket.h"
#include "control/controller.h"
#include "control/server.h"
#include "control/store.h"
#include "engine/local/local_engine.h"
#include "engine/local/messages.h"
#include "support/loop_fixture.h"

namespace penstock {
namespace {

using base::Json;
using base::Message;
using base::Peer;

class ControlProtocolTest : public testing_support::LoopTest {
 protected:
  ControlProtocolTest() {
    EXPECT_TRUE(controller_.Recover().ok());
    EXPECT_TRUE(server_.Listen(controller_).ok());
  }

  std::shared_ptr<Peer> Dial() {
    return Peer::Open(*loop_, *base::ConnectUnix(Path("control")), {});
  }

  // The answer to a call on a connection of its own.
  Result<Message> Call(const std::string& method, const Json& params) {
    const auto peer = Dial();
    std::optional<Result<Message>> answer;
    peer->Call(method, {params, ""}, [&](Result<Message> result) { answer = std::move(result); });
    Until([&] { return answer.has_value(); });
    peer->Close();
    return *answer;
  }

  // What the instance looks like from outside.
  Json State() {
    return {{"status", Call("serve.status", Json::object())->json},
            {"resources", Call("cluster.resources", Json::object())->json}};
  }

  base::Random random_;
  engine::local::LocalEngine engine_;
  control::MemoryStore store_;
  control::Server server_{
      *loop_,
      {.socket = Path("control"), .code_folder = folder_},
      {.on_call =
           [this](const auto& peer, const std::string& method, const Json& params,
                  const Peer::Respond& respond) {
             return engine_.OnCall(peer, method, params, respond);
           },
       .on_notice = [this](const std::string& method,
                           const Json& params) { return engine_.OnNotice(method, params); },
       .on_closed = [this](const Peer& peer,
                           const std::string& why) { engine_.OnClosed(peer, why); }}};
  control::Controller controller_{{loop_->clock(), engine_, store_, server_, random_}, {}};
};

TEST_F(ControlProtocolTest, ABadCallIsRefusedAndChangesNothing) {
  const Json before = State();
  const Json node =
      engine::local::ToJson(resources::NodeSpec{.id = "n", .name = "n", .ip = "127.0.0.1"});
  const std::vector<std::pair<std::string, Json>> calls = {
      {"node.join", 5},
      {"node.join", Json::array()},
      {"node.join", {{"node", "n"}}},
      {"node.join", {{"node", node}, {"replicas", 1}}},
      {"node.join", {{"node", node}, {"replicas", {{{"order", 1}}}}}},
      {"serve.start", 5},
      {"serve.start", {{"http_options", "all"}}},
      {"serve.start", {{"http_options", {{"port", "http"}}}}},
      {"serve.deploy", "app"},
      {"serve.deploy", {{"name", 1}}},
      {"serve.deploy",
       {{"name", "a"}, {"ingress", "d"}, {"deployments", {{{"name", "d"}, {"options", 1}}}}}},
      {"serve.deploy",
       {{"name", "a"}, {"ingress", "d"}, {"deployments", {{{"name", "d"}, {"launch", 1}}}}}},
      {"serve.deploy",
       {{"name", "a"},
        {"ingress", "d"},
        {"deployments", {{{"name", "d"}, {"launch", {{"kind", 1}}}}}}}},
      {"serve.deploy",
       {{"name", "a"}, {"ingress", "d"}, {"code", 5}, {"deployments", {{{"name", "d"}}}}}},
      {"serve.wait", {{"app", 1}}},
      {"serve.delete", Json::array()},
      {"serve.app", 0},
  };
  for (const auto& [method, params] : calls) {
    const auto answer = Call(method, params);
    EXPECT_FALSE(answer.ok()) << method << " " << params;
    EXPECT_NE(answer.status().code(), Code::kUnavailable) << method << " " << params;
  }
  EXPECT_EQ(State(), before);
}

// Books that do not add up would give a device twice.
TEST_F(ControlProtocolTest, ANodeWhoseReplicasHoldMoreThanItHasIsRefused) {
  const resources::NodeSpec node{
      .id = "n", .name = "n", .ip = "127.0.0.1", .total = {{"GPU", kOneUnit}}};
  engine::AdoptedReplica replica{.ready = true};
  replica.order.id = {{"a", "d"}, "r"};
  replica.order.allocation.amounts.Set("GPU", kOneUnit);
  replica.order.allocation.devices["GPU"] = {{0, kOneUnit}};
  Json params = {{"node", engine::local::ToJson(node)}};
  for (const char* unique : {"r1", "r2"}) {
    replica.order.id.unique = unique;
    params["replicas"].push_back(engine::local::ToJson(replica));
  }
  const Json before = State();
  const auto answer = Call("node.join", params);
  EXPECT_EQ(answer.status().code(), Code::kInvalidArgument);
  EXPECT_NE(answer.status().message().find("holds more than there is on its node"),
            std::string::npos);
  EXPECT_EQ(State(), before);
}

TEST_F(ControlProtocolTest, ABadNoticeEndsItsConnectionAndChangesNothing) {
  const Json before = State();
  const auto epoch = controller_.routes().epoch();
  const std::vector<std::pair<std::string, Json>> notices = {
      {"routes.ack", {{"epoch", "one"}}},
      {"routes.ack", {{"epoch", 1.5}}},
      {"routes.ack", 5},
      {"routes.subscribe", {{"router", 1}}},
      {"routes.subscribe", {{"everything", "yes"}}},
      {"routes.subscribe", {{"deployments", 1}}},
      {"routes.subscribe", {{"deployments", {1}}}},
      {"load.report", {{"queued", "many"}}},
      {"load.report", {{"running", {{"r", "some"}}}}},
      {"load.report", {{"running", 1}}},
      {"load.report", Json()},
  };
  for (const auto& [method, params] : notices) {
    const auto peer = Dial();
    peer->Notify(method, {params, ""});
    Until([&] { return !peer->open(); });
  }
  EXPECT_EQ(State(), before);
  EXPECT_EQ(controller_.routes().epoch(), epoch);
}

TEST_F(ControlProtocolTest, AnEventOfTheWrongFormIsIgnored) {
  const auto peer = Dial();
  const Json before = State();
  for (const Json& params :
       {Json(5), Json{{"kind", "ready"}}, Json{{"kind", 5}, {"replica", "r"}}}) {
    peer->Notify("replica.event", {params, ""});
  }
  EXPECT_EQ(State(), before);
  EXPECT_TRUE(peer->open()) << "an agent's connection carries more than this";
}

TEST_F(ControlProtocolTest, WhatIsNoMessageEndsTheConnection) {
  const auto raw = base::Connection::Open(
      *loop_, *base::ConnectUnix(Path("control")), Peer::kMaxMessage,
      {.on_frame = [](const base::Frame&) {}, .on_closed = [](const std::string&) {}});
  std::string payload(4, '\0');
  payload[0] = 1;
  raw->Send({.kind = base::FrameKind::kControl, .aux = 1, .stream = 1}, payload + "5");
  Until([&] { return !raw->open(); });
  EXPECT_TRUE(Call("serve.status", Json::object()).ok());
}

}  // namespace
}  // namespace penstock
