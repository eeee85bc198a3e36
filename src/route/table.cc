#include "route/table.h"

#include <algorithm>
#include <array>

#include "base/message.h"

namespace penstock::route {
namespace {

using base::Whole;
using Json = nlohmann::json;

Json IdJson(const DeploymentId& id) { return {{"app", id.app}, {"name", id.name}}; }

DeploymentId IdOf(const Json& json) { return {json.at("app"), json.at("name")}; }

using Kind = RequestRouterSpec::Kind;

// By the value of Kind.
constexpr std::array kKinds{"power_of_two_choices", "round_robin", "consistent_hash", "custom"};

// More points on a ring than this would be somebody's mistake.
constexpr int kMostVirtualNodes = 10'000;

Json RouterJson(const RouterRoute& router) {
  Json json = {{"kind", kKinds[static_cast<std::size_t>(router.kind)]}};
  if (router.kind == Kind::kConsistentHash) {
    json["num_virtual_nodes"] = router.num_virtual_nodes;
    json["num_fallback_replicas"] = router.num_fallback_replicas;
  } else if (router.kind == Kind::kCustom) {
    json["socket"] = router.socket;
    json["initial_backoff_s"] = router.initial_backoff_s;
    json["backoff_multiplier"] = router.backoff_multiplier;
    json["max_backoff_s"] = router.max_backoff_s;
  }
  return json;
}

RouterRoute RouterOf(const Json& json) {
  static const Json numbers = [] {
    Json by_name;
    for (std::size_t i = 0; i < kKinds.size(); ++i) by_name[kKinds[i]] = i;
    return by_name;
  }();
  RouterRoute router;
  router.kind =
      static_cast<Kind>(numbers.at(json.at("kind").get_ref<const std::string&>()).get<int>());
  if (router.kind == Kind::kConsistentHash) {
    router.num_virtual_nodes =
        std::clamp(Whole<int>(json.at("num_virtual_nodes")), 1, kMostVirtualNodes);
    router.num_fallback_replicas = std::max(0, Whole<int>(json.at("num_fallback_replicas")));
  } else if (router.kind == Kind::kCustom) {
    router.socket = json.at("socket");
    router.initial_backoff_s = json.at("initial_backoff_s");
    router.backoff_multiplier = json.at("backoff_multiplier");
    router.max_backoff_s = json.at("max_backoff_s");
  }
  return router;
}

Json DeploymentJson(const DeploymentRoute& deployment) {
  Json json = IdJson(deployment.id);
  json["available"] = deployment.available;
  json["max_ongoing_requests"] = deployment.max_ongoing_requests;
  json["max_queued_requests"] = deployment.max_queued_requests;
  json["backpressure"] = {{"status_code", deployment.backpressure.status_code}};
  if (deployment.backpressure.retry_after_s) {
    json["backpressure"]["retry_after_s"] = *deployment.backpressure.retry_after_s;
  }
  json["sample_period_s"] = deployment.sample_period_s;
  json["router"] = RouterJson(deployment.router);
  json["replicas"] = Json::array();
  for (const ReplicaRoute& replica : deployment.replicas) {
    json["replicas"].push_back(
        {{"id", replica.id}, {"socket", replica.socket}, {"node", replica.node}});
  }
  return json;
}

DeploymentRoute DeploymentOf(const Json& json) {
  DeploymentRoute deployment;
  deployment.id = IdOf(json);
  deployment.available = json.at("available");
  deployment.max_ongoing_requests = Whole<int>(json.at("max_ongoing_requests"));
  deployment.max_queued_requests = Whole<int>(json.at("max_queued_requests"));
  const Json& backpressure = json.at("backpressure");
  deployment.backpressure.status_code = Whole<int>(backpressure.at("status_code"));
  if (backpressure.contains("retry_after_s")) {
    deployment.backpressure.retry_after_s = backpressure.at("retry_after_s").get<double>();
  }
  deployment.sample_period_s = json.at("sample_period_s");
  deployment.router = RouterOf(json.at("router"));
  for (const Json& replica : json.at("replicas")) {
    deployment.replicas.push_back({replica.at("id"), replica.at("socket"), replica.at("node")});
  }
  return deployment;
}

RouteUpdate UpdateOf(const Json& json) {
  RouteUpdate update;
  update.epoch = Whole<std::uint64_t>(json.at("epoch"));
  update.full = json.at("full");
  if (json.contains("http")) {
    update.http.emplace();
    for (const Json& route : json.at("http")) {
      update.http->push_back({route.at("prefix"), IdOf(route)});
    }
    SortRoutes(*update.http);
  }
  for (const Json& deployment : json.at("deployments")) {
    update.deployments.push_back(DeploymentOf(deployment));
  }
  for (const Json& id : json.at("removed")) update.removed.push_back(IdOf(id));
  return update;
}

}  // namespace

Json ToJson(const RouteUpdate& update) {
  Json json = {{"epoch", update.epoch},
               {"full", update.full},
               {"deployments", Json::array()},
               {"removed", Json::array()}};
  if (update.http) {
    json["http"] = Json::array();
    for (const HttpRoute& route : *update.http) {
      Json entry = IdJson(route.ingress);
      entry["prefix"] = route.prefix;
      json["http"].push_back(std::move(entry));
    }
  }
  for (const auto& deployment : update.deployments) {
    json["deployments"].push_back(DeploymentJson(deployment));
  }
  for (const auto& id : update.removed) json["removed"].push_back(IdJson(id));
  return json;
}

Result<RouteUpdate> ParseRouteUpdate(const Json& json) {
  try {  // the library reports a missing or mistyped field by throwing
    return UpdateOf(json);
  } catch (const Json::exception& error) {
    return InvalidArgument(std::string("route update: ") + error.what());
  }
}

const HttpRoute* MatchRoute(const std::vector<HttpRoute>& routes, std::string_view path) {
  for (const HttpRoute& route : routes) {
    if (!path.starts_with(route.prefix)) continue;
    if (route.prefix.ends_with('/') || path.size() == route.prefix.size() ||
        path[route.prefix.size()] == '/') {
      return &route;
    }
  }
  return nullptr;
}

void SortRoutes(std::vector<HttpRoute>& routes) {
  std::sort(routes.begin(), routes.end(), [](const HttpRoute& a, const HttpRoute& b) {
    return a.prefix.size() != b.prefix.size() ? a.prefix.size() > b.prefix.size()
                                              : a.prefix < b.prefix;
  });
}

}  // namespace penstock::route
