// An agent and whoever gives it orders, on one loop.
#include "engine/local/agent.h"

#include <gtest/gtest.h>
#include <sys/epoll.h>

#include <memory>
#include <optional>
#include <string>

#include "base/peer.h"
#include "base/socket.h"
#include "support/loop_fixture.h"

namespace penstock::engine::local {
namespace {

using base::Json;
using base::Message;

class AgentTest : public testing_support::LoopTest, private base::FdHandler {
 protected:
  AgentTest() {
    loop_->Watch(listener_.get(), EPOLLIN, *this);
    context_.paths.folder = folder_;
    context_.node = {.id = "n", .name = "n", .ip = "127.0.0.1"};
    agent_ = std::make_unique<Agent>(*loop_, context_, [] {});
    Until([&] { return joined_; });
  }
  ~AgentTest() override { loop_->Unwatch(listener_.get(), *this); }

  Result<Message> Order(const std::string& method, const Json& params) {
    std::optional<Result<Message>> answer;
    controller_->Call(method, {params, ""}, [&](Result<Message> result) { answer = result; });
    Until([&] { return answer.has_value(); });
    return *answer;
  }

  std::shared_ptr<base::Peer> controller_;
  NodeContext context_;
  std::unique_ptr<Agent> agent_;

 private:
  void OnEvents(std::uint32_t) override {
    controller_ = base::Peer::Open(
        *loop_, base::Accept(listener_),
        {.on_call =
             [this](const std::string& method, const Message&, const base::Peer::Respond& respond) {
               joined_ = method == "node.join";
               respond(Message{});
             },
         .on_notice = {},
         .on_closed = {}});
  }

  base::UniqueFd listener_ = *base::ListenUnix(base::InstancePaths{folder_}.control_socket());
  bool joined_ = false;
};

// The controller wants back what has just ended, before it hears that the whole node does.
TEST_F(AgentTest, OneThatEndsTakesUpNothingNew) {
  EXPECT_TRUE(Order("code_hosts.run", {{"hosts", Json::array()}}).ok());
  bool ended = false;
  agent_->StopEverything([&] { ended = true; });
  Until([&] { return ended; });
  for (const char* order : {"replica.start", "code_hosts.run", "proxy.start"}) {
    EXPECT_EQ(Order(order, Json::object()).status(), Status(Code::kUnavailable, "the node ends"));
  }
}

}  // namespace
}  // namespace penstock::engine::local
