// What a router tells the controller of its load, and when.
#include "route/subscription.h"

#include <gtest/gtest.h>
#include <sys/epoll.h>

#include <memory>
#include <string>
#include <vector>

#include "base/control_link.h"
#include "base/heads.h"
#include "base/peer.h"
#include "base/socket.h"
#include "support/loop_fixture.h"

namespace penstock {
namespace {

using base::Json;
using base::Message;

const DeploymentId kId{"app", "d"};

class NoSink final : public route::ReplySink {
 public:
  void OnReply(std::string_view, std::uint8_t) override {}
  void OnBody(std::string_view, std::uint8_t) override {}
  void OnCredit(std::uint32_t) override {}
  void OnFailure(const route::Failure&) override {}
};

// A router of a process with handles, and a controller that remembers what it is told.
class SubscriptionTest : public testing_support::LoopTest, private base::FdHandler {
 protected:
  SubscriptionTest() : listener_(*base::ListenUnix(Path("control"))) {
    loop_->Watch(listener_.get(), EPOLLIN, *this);
    link_ = std::make_unique<base::ControlLink>(
        *loop_, Path("control"),
        base::ControlLink::Callbacks{.on_up = [this] { subscription_->OnUp(); },
                                     .on_notice =
                                         [this](const std::string& method, const Message& params) {
                                           subscription_->OnNotice(method, params.json);
                                         },
                                     .on_call = {},
                                     .on_down = {}});
    subscription_ = std::make_unique<route::Subscription>(
        *loop_, *link_, router_, route::Subscription::Scope::kUsed, "handles");
    Until([&] { return controller_ != nullptr; });
  }
  ~SubscriptionTest() override {
    loop_->Unwatch(listener_.get(), *this);
    subscription_.reset();
    link_.reset();
    router_.Close();
  }

  void OnEvents(std::uint32_t) override {
    controller_ = base::Peer::Open(*loop_, base::Accept(listener_),
                                   {.on_call = {},
                                    .on_notice =
                                        [this](const std::string& method, const Message& params) {
                                          if (method == "load.report")
                                            reports_.push_back(params.json);
                                        },
                                    .on_closed = {}});
  }

  std::shared_ptr<route::Exchange> Ask() {
    std::string payload;
    base::AppendRequestHead(payload, {.kind = base::CallKind::kCall, .method = "m"});
    return router_.Queue(kId).Start(std::move(payload), true, sink_);
  }

  void Tell(double sample_period_s) {
    route::RouteUpdate update{.epoch = ++epoch_};
    update.deployments.push_back({.id = kId, .sample_period_s = sample_period_s});
    controller_->Notify("routes", {route::ToJson(update), ""});
    Until([&] { return router_.epoch() == epoch_; });
  }

  base::UniqueFd listener_;
  std::shared_ptr<base::Peer> controller_;
  std::vector<Json> reports_;
  route::Router router_{*loop_};
  std::unique_ptr<base::ControlLink> link_;
  std::unique_ptr<route::Subscription> subscription_;
  NoSink sink_;
  std::uint64_t epoch_ = 0;
};

// A deployment without replicas was held awake by the first call that a handle made.
TEST_F(SubscriptionTest, WhatWaitedBeforeTheRouteWasKnownIsTakenBack) {
  const auto exchange = Ask();
  Until([&] { return reports_.size() == 1; });
  EXPECT_EQ(reports_.back().at("queued"), 1);
  Tell(0.01);
  Until([&] { return reports_.size() >= 4; });
  EXPECT_EQ(reports_.back().at("queued"), 1);
  exchange->Cancel();
  Until([&] { return reports_.back().at("queued") == 0; });
  const auto told = reports_.size();
  Settle();
  EXPECT_EQ(reports_.size(), told) << "an idle router is silent";
}

TEST_F(SubscriptionTest, WhatEndedBeforeTheRouteWasKnownIsTakenBack) {
  const auto exchange = Ask();
  Until([&] { return reports_.size() == 1; });
  exchange->Cancel();
  Tell(10);
  Until([&] { return reports_.size() == 2; });
  EXPECT_EQ(reports_.back().at("queued"), 0);
}

TEST_F(SubscriptionTest, WhatWaitsWhenAutoscalingBeginsIsTold) {
  Tell(0);
  const auto exchange = Ask();
  Settle();
  EXPECT_TRUE(reports_.empty()) << "nobody wants to know";
  Tell(10);
  Until([&] { return reports_.size() == 1; });
  EXPECT_EQ(reports_.back().at("queued"), 1);
  exchange->Cancel();
}

}  // namespace
}  // namespace penstock
