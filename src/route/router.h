// Routes requests: from a path or a deployment to a replica.
//
// Thread: the loop's.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/loop.h"
#include "base/random.h"
#include "route/deployment_queue.h"
#include "route/exchange.h"
#include "route/table.h"

namespace penstock::route {

class Router {
 public:
  // `model_wait`: how long a request waits at least for a replica that has its model while others
  // are free; at most twice as long, so that routers do not give up together.
  explicit Router(base::Loop& loop, Duration model_wait = ModelWaitFromEnvironment())
      : loop_(loop), model_wait_(model_wait) {}

  Router(const Router&) = delete;
  Router& operator=(const Router&) = delete;

  // RAY_SERVE_MULTIPLEXED_MODEL_ID_MATCHING_TIMEOUT_S, a second when it is not set.
  static Duration ModelWaitFromEnvironment();

  // The node of this process, for callers that prefer replicas of it.
  void SetNode(const NodeId& node);

  // Adopts an update. Afterwards nothing new goes to a replica that it no longer lists.
  void Apply(const RouteUpdate& update);

  // The deployment's queue, made when it is asked for first; it lives as long as the router.
  // Requests for a deployment that is not known yet wait for the controller's word.
  DeploymentQueue& Queue(const DeploymentId& id);

  // The route that `path` belongs to; nullptr when there is none. Invalid after Apply.
  const HttpRoute* Match(std::string_view path) const { return MatchRoute(http_, path); }

  // Every route, longest prefix first.
  const std::vector<HttpRoute>& http() const { return http_; }

  // True once the controller has told of any route.
  bool populated() const { return populated_; }

  // True once the controller has said anything at all.
  bool informed() const { return informed_; }

  // The last update applied.
  std::uint64_t epoch() const { return epoch_; }

  // Every deployment asked for or told of.
  const std::map<DeploymentId, std::unique_ptr<DeploymentQueue>>& queues() const { return queues_; }

  // Called with each queue that is made, before it is used.
  void SetOnQueue(std::function<void(DeploymentQueue&)> on_queue) {
    on_queue_ = std::move(on_queue);
  }

  // Ends every request. Not from inside a sink.
  void Close();

 private:
  base::Loop& loop_;
  Duration model_wait_;
  NodeId node_;
  base::Random random_;
  std::map<DeploymentId, std::unique_ptr<DeploymentQueue>> queues_;
  std::vector<HttpRoute> http_;
  std::function<void(DeploymentQueue&)> on_queue_;
  std::uint64_t epoch_ = 0;
  bool informed_ = false;
  bool populated_ = false;
};

}  // namespace penstock::route
