// A router and replicas in one loop, over real sockets.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/heads.h"
#include "replica/runtime.h"
#include "route/router.h"
#include "support/loop_fixture.h"
#include "support/scripted_code.h"

namespace penstock::testing_support {

inline const DeploymentId kId{"app", "d"};

// A caller that remembers what it was told.
class Caller final : public route::ReplySink {
 public:
  // A sink is borrowed by its exchange: who goes away cancels.
  ~Caller() override {
    if (exchange) exchange->Cancel();
  }

  void OnReply(std::string_view payload, std::uint8_t flags) override { Piece(payload, flags); }
  void OnBody(std::string_view piece, std::uint8_t flags) override { Piece(piece, flags); }
  void OnCredit(std::uint32_t bytes) override { credit += bytes; }
  void OnFailure(const route::Failure& why) override {
    failure = why;
    done = true;
  }

  std::shared_ptr<route::Exchange> exchange;
  std::string body;
  std::uint32_t credit = 0;
  bool done = false;
  bool raised = false;
  std::optional<route::Failure> failure;

 private:
  void Piece(std::string_view piece, std::uint8_t flags) {
    body += piece;
    done = (flags & base::kEnd) != 0;
    raised = raised || (flags & base::kFailure) != 0;
  }
};

struct Replica {
  Replica(base::Loop& loop, const std::string& path, int limit) : runtime(loop, code) {
    runtime.SetMaxOngoing(limit);
    EXPECT_TRUE(runtime.Listen(path).ok());
  }
  ScriptedCode code;
  replica::Runtime runtime;
};

// The payload of a request for `method`.
inline std::string CallPayload(const std::string& method, const std::string& model = "",
                               const std::string& session = "", std::uint8_t flags = 0) {
  std::string payload;
  base::AppendRequestHead(payload, {.kind = base::CallKind::kCall,
                                    .flags = flags,
                                    .multiplexed_model_id = model,
                                    .session_id = session,
                                    .method = method});
  return payload;
}

class RouterReplicaTest : public LoopTest {
 protected:
  // Makes a replica and tells the router of all there are.
  Replica& AddReplica(int limit) {
    const std::string id = "r" + std::to_string(route_.replicas.size());
    replicas_.push_back(std::make_unique<Replica>(*loop_, Path(id), limit));
    route_.max_ongoing_requests = limit;
    route_.replicas.push_back({.id = id, .socket = Path(id), .node = "n"});
    Publish();
    return *replicas_.back();
  }

  void Publish() { Publish(router_); }

  void Publish(route::Router& router) {
    route::RouteUpdate update{.epoch = ++epoch_};
    update.deployments.push_back(route_);
    router.Apply(update);
  }

  std::shared_ptr<route::Exchange> Ask(Caller& caller, const std::string& text, bool end = true,
                                       const std::string& model = "") {
    caller.exchange = router_.Queue(kId).Start(CallPayload(text, model), end, caller);
    return caller.exchange;
  }

  std::uint64_t epoch_ = 0;
  route::DeploymentRoute route_{.id = kId};
  std::vector<std::unique_ptr<Replica>> replicas_;
  // Who waits for a model does so for longer than any test.
  route::Router router_{*loop_, std::chrono::hours(1)};
};

}  // namespace penstock::testing_support
