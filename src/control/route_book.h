// What each router was told and has acknowledged.
//
// A replica may be stopped only after every router that knew it has acknowledged an update
// without it: this is where that is known. Sending is the publisher's.
//
// Thread: the controller's loop.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "penstock/ids.h"
#include "route/table.h"

namespace penstock::control {

using RouterId = std::uint64_t;

// Sends an update to a router. Production writes to its connection.
class RoutePublisher {
 public:
  virtual ~RoutePublisher() = default;
  virtual void Publish(RouterId router, const route::RouteUpdate& update) = 0;
};

class RouteBook {
 public:
  explicit RouteBook(RoutePublisher& publisher) : publisher_(publisher) {}

  // A router wants to know of everything, or of more deployments. It is told of all that it
  // wants at once. `proxy` routers count for ProxiesAcked.
  void Subscribe(RouterId router, bool everything, const std::vector<DeploymentId>& deployments);

  // The router is gone: nobody waits for it any more.
  void Forget(RouterId router);

  // Adopts what is true now and tells every router what changed for it. Values equal to those
  // of before cost nothing.
  void Set(const std::vector<route::DeploymentRoute>& changed,
           const std::vector<DeploymentId>& removed,
           const std::optional<std::vector<route::HttpRoute>>& http);

  void Acknowledge(RouterId router, std::uint64_t epoch);

  // The number of the last change.
  std::uint64_t epoch() const { return epoch_; }

  // True when every router that has been told of `id` acknowledged everything up to `epoch`.
  bool Acknowledged(const DeploymentId& id, std::uint64_t epoch) const;

  // The same for the routers that know everything: the proxies.
  bool ProxiesAcknowledged(std::uint64_t epoch) const;

 private:
  struct Router {
    bool everything = false;
    std::set<DeploymentId> wanted;
    std::uint64_t told = 0;  // epoch of the last update sent
    std::uint64_t acknowledged = 0;
    bool Wants(const DeploymentId& id) const { return everything || wanted.contains(id); }
    bool Done(std::uint64_t epoch) const { return acknowledged >= std::min(epoch, told); }
  };
  route::DeploymentRoute RouteOf(const DeploymentId& id) const;
  void Send(RouterId id, Router& router, route::RouteUpdate update);

  RoutePublisher& publisher_;
  std::uint64_t epoch_ = 0;
  std::map<DeploymentId, route::DeploymentRoute> routes_;
  std::vector<route::HttpRoute> http_;
  std::map<RouterId, Router> routers_;
};

}  // namespace penstock::control
