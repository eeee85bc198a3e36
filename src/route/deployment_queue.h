// Everything a router holds for one deployment: its replicas, and the requests that wait for one.
//
// Thread: the router's loop.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/loop.h"
#include "base/random.h"
#include "route/exchange.h"
#include "route/replica_link.h"
#include "route/table.h"

namespace penstock::route {

// What a router queues and runs for a deployment, for the autoscaler.
struct Load {
  int queued = 0;
  std::map<std::string, int> running;  // by replica
};

class DeploymentQueue {
 public:
  DeploymentQueue(base::Loop& loop, base::Random& random, DeploymentId id);
  ~DeploymentQueue();

  DeploymentQueue(const DeploymentQueue&) = delete;
  DeploymentQueue& operator=(const DeploymentQueue&) = delete;

  // Adopts what the controller says: replicas that are new get a link, those that are gone get
  // nothing new. Requests that wait move on.
  void Apply(const DeploymentRoute& route);

  // Queues a request or sends it at once. The sink may be told of a failure before this returns.
  std::shared_ptr<Exchange> Start(std::string payload, bool end, ReplySink& sink);

  // What waits and runs now.
  Load Sample() const;

  // True once the controller has told of the deployment.
  bool known() const { return known_; }

  // As last told.
  const DeploymentRoute& route() const { return route_; }

  // Requests that wait for a replica.
  std::size_t queued() const { return waiting_.size(); }

  // Called when work arrives where there was none, and when no replica could take it: the
  // load reporter watches.
  void SetWatcher(std::function<void()> watcher) { watcher_ = std::move(watcher); }

  // Fails everything that waits or runs with kShutdown.
  void Close();

  // For links and exchanges.
  void Requeue(std::shared_ptr<Exchange> exchange);  // was not admitted; keeps its place
  void Forget(const Exchange& exchange);             // cancelled while it waited
  void Pump();                                       // a slot may be free
  void OnLinkIdle();                                 // a leaving replica's last request ended

 private:
  std::optional<std::size_t> Choose();
  void Fail(const std::shared_ptr<Exchange>& exchange, const Failure& failure);
  void DropLeft();

  base::Loop& loop_;
  base::Random& random_;
  DeploymentRoute route_;
  bool known_ = false;
  std::vector<std::unique_ptr<ReplicaLink>> links_;
  std::vector<std::unique_ptr<ReplicaLink>> leaving_;
  std::vector<Candidate> candidates_;  // reused between calls of Choose
  std::map<std::uint64_t, std::shared_ptr<Exchange>> waiting_;  // by order of arrival
  std::uint64_t next_sequence_ = 1;
  std::function<void()> watcher_;
  bool pumping_ = false;
};

}  // namespace penstock::route
