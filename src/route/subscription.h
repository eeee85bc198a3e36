// Keeps a router's table what the controller says it is, acknowledges each epoch, and reports
// load.
//
// The acknowledgement is what makes leaving safe: the controller stops a replica only after
// every router that knew it has acknowledged an epoch without it.
//
// Thread: the loop's.
#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <string>

#include "base/control_link.h"
#include "base/loop.h"
#include "route/router.h"

namespace penstock::route {

class Subscription {
 public:
  // What to be told of.
  enum class Scope {
    kEverything,  // a proxy: all deployments and HTTP routes
    kUsed,        // a process with handles: the deployments that it asked for
  };

  // `link` and `router` outlive it. `name` tells this router apart from others in load reports.
  Subscription(base::Loop& loop, base::ControlLink& link, Router& router, Scope scope,
               std::string name);
  ~Subscription();

  Subscription(const Subscription&) = delete;
  Subscription& operator=(const Subscription&) = delete;

  // Call from the link's on_up: subscribes, anew after a break.
  void OnUp();

  // Call with the link's notices; true when the notice was a route update.
  bool OnNotice(const std::string& method, const nlohmann::json& params);

 private:
  void OnQueue(DeploymentQueue& queue);
  void Watch(DeploymentQueue& queue);
  void Report(const DeploymentId& id);
  void Resume(const DeploymentId& id);
  nlohmann::json SubscribeParams() const;

  base::Loop& loop_;
  base::ControlLink& link_;
  Router& router_;
  Scope scope_;
  std::string name_;
  std::map<DeploymentId, base::Loop::TimerId> sampling_;
  std::set<DeploymentId> owed_;  // load was reported, no timer runs, and it has not been taken back
};

}  // namespace penstock::route
