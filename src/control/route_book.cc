#include "control/route_book.h"

#include <algorithm>
#include <utility>

namespace penstock::control {

using route::DeploymentRoute;
using route::RouteUpdate;

DeploymentRoute RouteBook::RouteOf(const DeploymentId& id) const {
  const auto found = routes_.find(id);
  // A deployment that is not there (any more) is unavailable rather than unknown: callers that
  // wait for it must not wait for ever.
  return found == routes_.end() ? DeploymentRoute{.id = id, .available = false} : found->second;
}

void RouteBook::Send(RouterId id, Router& router, RouteUpdate update) {
  update.epoch = epoch_;
  router.told = epoch_;
  publisher_.Publish(id, update);
}

RouteUpdate RouteBook::Everything() const {
  RouteUpdate update{.full = true, .http = http_};
  for (const auto& [id, route] : routes_) update.deployments.push_back(route);
  return update;
}

void RouteBook::Open() {
  if (std::exchange(open_, true)) return;
  ++epoch_;
  for (auto& [id, router] : routers_) {
    RouteUpdate update = router.everything ? Everything() : RouteUpdate();
    if (!router.everything) {
      for (const DeploymentId& wanted : router.wanted)
        update.deployments.push_back(RouteOf(wanted));
    }
    Send(id, router, std::move(update));
  }
}

void RouteBook::Subscribe(RouterId id, bool everything,
                          const std::vector<DeploymentId>& deployments) {
  Router& router = routers_[id];
  RouteUpdate update;
  if (everything && !std::exchange(router.everything, true)) update = Everything();
  for (const DeploymentId& wanted : deployments) {
    if (router.wanted.insert(wanted).second && !everything) {
      update.deployments.push_back(RouteOf(wanted));
    }
  }
  if (!open_) return;
  ++epoch_;
  Send(id, router, std::move(update));
}

void RouteBook::Forget(RouterId router) { routers_.erase(router); }

void RouteBook::Set(const std::vector<DeploymentRoute>& changed,
                    const std::vector<DeploymentId>& removed,
                    const std::optional<std::vector<route::HttpRoute>>& http) {
  RouteUpdate all;
  for (const DeploymentRoute& route : changed) {
    const auto [known, fresh] = routes_.try_emplace(route.id, route);
    if (!fresh && known->second == route) continue;
    known->second = route;
    all.deployments.push_back(route);
  }
  for (const DeploymentId& id : removed) {
    if (routes_.erase(id) > 0) all.removed.push_back(id);
  }
  if (http && *http != http_) {
    http_ = *http;
    all.http = http_;
  }
  if (all.deployments.empty() && all.removed.empty() && !all.http) return;
  ++epoch_;
  if (!open_) return;
  for (auto& [id, router] : routers_) {
    RouteUpdate update;
    if (router.everything) update.http = all.http;
    for (const DeploymentRoute& route : all.deployments) {
      if (router.Wants(route.id)) update.deployments.push_back(route);
    }
    for (const DeploymentId& gone : all.removed) {
      if (router.Wants(gone)) update.removed.push_back(gone);
    }
    if (update.http || !update.deployments.empty() || !update.removed.empty()) {
      Send(id, router, std::move(update));
    }
  }
}

void RouteBook::Acknowledge(RouterId id, std::uint64_t epoch) {
  const auto router = routers_.find(id);
  if (router == routers_.end() || epoch > router->second.told) return;
  router->second.acknowledged = std::max(router->second.acknowledged, epoch);
}

bool RouteBook::Acknowledged(const DeploymentId& id, std::uint64_t epoch) const {
  return std::all_of(routers_.begin(), routers_.end(), [&](const auto& entry) {
    return !entry.second.Wants(id) || entry.second.Done(epoch);
  });
}

bool RouteBook::ProxiesAcknowledged(std::uint64_t epoch) const {
  return std::all_of(routers_.begin(), routers_.end(), [&](const auto& entry) {
    return !entry.second.everything || entry.second.Done(epoch);
  });
}

}  // namespace penstock::control
