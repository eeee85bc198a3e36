// What the controller tells routers: routes, deployments, replicas. Values and their JSON form.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "penstock/deployment.h"
#include "penstock/ids.h"
#include "penstock/status.h"

namespace penstock::route {

// A replica that takes requests.
struct ReplicaRoute {
  std::string id;      // ReplicaId::unique
  std::string socket;  // path of its Unix socket
  NodeId node;
  friend bool operator==(const ReplicaRoute&, const ReplicaRoute&) = default;
};

// How requests for a deployment find a replica: what routers need of RequestRouterSpec.
struct RouterRoute {
  RequestRouterSpec::Kind kind = RequestRouterSpec::Kind::kPowerOfTwoChoices;
  int num_virtual_nodes = 100;
  int num_fallback_replicas = 2;
  std::string socket;  // kCustom: where its process listens
  double initial_backoff_s = 0.025;
  double backoff_multiplier = 2;
  double max_backoff_s = 0.5;
  friend bool operator==(const RouterRoute&, const RouterRoute&) = default;
};

// A deployment as routers need to know it.
struct DeploymentRoute {
  DeploymentId id;
  // False when it failed to deploy, or was deleted, and nothing runs: callers are told at once.
  bool available = true;
  int max_ongoing_requests = 5;
  int max_queued_requests = -1;
  BackpressureSpec backpressure;
  double sample_period_s = 0;  // how often the autoscaler wants the load; 0: never
  RouterRoute router;
  std::vector<ReplicaRoute> replicas;
  friend bool operator==(const DeploymentRoute&, const DeploymentRoute&) = default;
};

// An application that is reachable over HTTP.
struct HttpRoute {
  std::string prefix;  // "/" or "/a/b", without a trailing slash
  DeploymentId ingress;
  friend bool operator==(const HttpRoute&, const HttpRoute&) = default;
};

// What changed since the epoch before, or everything.
struct RouteUpdate {
  std::uint64_t epoch = 0;                     // grows by one with each update
  bool full = false;                           // forget what is not in here
  std::optional<std::vector<HttpRoute>> http;  // all of them, when any changed
  std::vector<DeploymentRoute> deployments;    // each whole
  std::vector<DeploymentId> removed;
  friend bool operator==(const RouteUpdate&, const RouteUpdate&) = default;
};

// The JSON form, listed in docs/design/control-protocol.md.
nlohmann::json ToJson(const RouteUpdate& update);

// kInvalidArgument when it is not one.
Result<RouteUpdate> ParseRouteUpdate(const nlohmann::json& json);

// The route with the longest prefix that matches `path` at a segment boundary: "/a" matches "/a",
// "/a/" and "/a/b", not "/ab". nullptr when none does. Pre: `routes` are sorted by SortRoutes.
const HttpRoute* MatchRoute(const std::vector<HttpRoute>& routes, std::string_view path);

// Longest prefix first, then by name.
void SortRoutes(std::vector<HttpRoute>& routes);

}  // namespace penstock::route
