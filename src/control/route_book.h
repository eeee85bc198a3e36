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

  // Tells the routers that have subscribed so far what they want. Before this nobody is told
  // anything: a book that is not complete yet would deny what there is. Again, it does nothing.
  void Open();

  // A router wants to know of everything, or of more deployments. It is told of all that it
  // wants at once, or when the book opens. Those that want everything are the proxies.
  void Subscribe(RouterId router, bool everything, const std::vector<DeploymentId>& deployments);

  // The router is gone: nobody waits for it any more.
  void Forget(RouterId router);

  // Adopts what is true now and tells every router what changed for it. Values equal to those
  // of before cost nothing.
  void Set(const std::vector<route::DeploymentRoute>& changed,
           const std::vector<DeploymentId>& removed,
           const std::optional<std::vector<route::HttpRoute>>& http);

  // A router has adopted everything up to `epoch`. One that it was not told of is ignored.
  void Acknowledge(RouterId router, std::uint64_t epoch);

  // The number of the last change.
  std::uint64_t epoch() const { return epoch_; }

  // True when every router that wants `id` acknowledged everything up to `epoch` that it was told.
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
  route::RouteUpdate Everything() const;
  void Send(RouterId id, Router& router, route::RouteUpdate update);

  RoutePublisher& publisher_;
  bool open_ = false;
  std::uint64_t epoch_ = 0;
  std::map<DeploymentId, route::DeploymentRoute> routes_;
  std::vector<route::HttpRoute> http_;
  std::map<RouterId, Router> routers_;
};

}  // namespace penstock::control
