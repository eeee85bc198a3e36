// Everything a router holds for one deployment: its replicas, and the requests that wait for one.
//
// Thread: the router's loop.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/loop.h"
#include "base/random.h"
#include "route/custom_router.h"
#include "route/deadline_margin.h"
#include "route/exchange.h"
#include "route/policy.h"
#include "route/replica_link.h"
#include "route/table.h"

namespace penstock::route {

// What a router queues and runs for a deployment, for the autoscaler.
struct Load {
  std::uint64_t arrived = 0;  // ever
  int queued = 0;
  std::map<std::string, int> running;  // by replica
};

// What a router knows of one replica, for those who look at it from outside.
struct ReplicaView {
  ReplicaRoute route;
  bool alive = false;  // reachable, and not leaving
  std::vector<std::string> models;
  std::string stats;  // JSON, or ""
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
  // With `near` it prefers replicas of this process's node. At the `deadline` the caller calls
  // Expire; near it the request may give way to others that wait, and fails with kTooLate.
  std::shared_ptr<Exchange> Start(std::string payload, bool end, ReplySink& sink, bool near = false,
                                  TimePoint deadline = kNever);

  // Sends a request to this replica and no other, even if it is full. The sink is told of
  // kReplicaGone when the replica is not there or refuses because it is leaving.
  std::shared_ptr<Exchange> StartAt(const std::string& replica, std::string payload, bool end,
                                    ReplySink& sink);

  // What waits and runs now.
  Load Sample() const;

  // True once the controller has told of the deployment.
  bool known() const { return known_; }

  // Runs `task` once known(): at once if it is. Dropped if the queue closes first.
  void WhenKnown(std::function<void()> task);

  // Its replicas, in the order of the controller's list.
  std::vector<ReplicaView> Replicas() const;

  // Called after each change of what Replicas() or route() say.
  void SetOnNews(std::function<void()> on_news) { on_news_ = std::move(on_news); }

  // The node of this process.
  void SetNode(NodeId node) { node_ = std::move(node); }

  // For how long a request waits for a replica that has its model while others are free.
  void SetPatience(Duration patience) { patience_ = patience; }

  // As last told.
  const DeploymentRoute& route() const { return route_; }

  // Requests that were ever given to Start, or sent by StartAt.
  std::uint64_t started() const { return next_sequence_ - 1; }

  // Requests that wait for a replica.
  std::size_t queued() const { return waiting_.size(); }

  // Called when work arrives where there was none, and when no replica could take it: the
  // load reporter watches.
  void SetWatcher(std::function<void()> watcher) { watcher_ = std::move(watcher); }

  // Fails everything that waits or runs with kShutdown.
  void Close();

  // For links and exchanges.
  void Requeue(std::shared_ptr<Exchange> exchange);  // was not admitted; keeps its place
  void Forget(Exchange& exchange);                   // cancelled while it waited
  void Pump();                                       // a slot may be free
  void OnLinkIdle();                                 // a leaving replica's last request ended
  void OnNews();                                     // a replica has told something new
  void NoteDeadline(bool kept);                      // of a request that had waited and was begun
  void TellEnd(Exchange& exchange);                  // it is over; the custom router knows of it

 private:
  void AdoptReplicas();
  void ForgetInquiries();
  std::optional<std::size_t> Choose(const Exchange& exchange);
  void SendTo(ReplicaLink& link, const std::shared_ptr<Exchange>& exchange);
  bool IsPatient(const Exchange& exchange) const;
  bool MayBeSent(const Exchange& exchange) const;
  bool AnyOpen() const;
  bool GivesWay(const Exchange& exchange) const;
  void SetStandsAside(Exchange& exchange, bool aside);
  void ArmPatience();
  void Consult();
  void Ask(const std::shared_ptr<Exchange>& exchange);
  void OnAnswer(const std::shared_ptr<Inquiry>& inquiry, const Result<Ranking>& answer);
  void Fail(const std::shared_ptr<Exchange>& exchange, const Failure& failure);
  void DropLeft();
  void DropBeyondLimit();

  base::Loop& loop_;
  base::Random& random_;
  DeploymentRoute route_;
  bool known_ = false;
  std::vector<std::unique_ptr<ReplicaLink>> links_;
  std::vector<std::unique_ptr<ReplicaLink>> leaving_;
  std::vector<Candidate> candidates_;                           // reused between calls of Choose
  std::map<std::uint64_t, std::shared_ptr<Exchange>> waiting_;  // by order of arrival
  std::uint64_t next_sequence_ = 1;
  std::size_t aside_ = 0;  // of waiting_: those that do so although a replica is open
  DeadlineMargin margin_;
  Policy policy_;
  std::unique_ptr<CustomRouter> custom_;  // made for the first request that needs it
  std::uint64_t custom_life_ = 0;  // grows when a process takes over that was asked nothing yet
  base::Loop::TimerId ask_timer_ = 0;
  Duration patience_{};
  NodeId node_;
  base::Loop::TimerId patience_timer_ = 0;
  std::vector<std::function<void()>> when_known_;
  std::function<void()> watcher_;
  std::function<void()> on_news_;
  bool pumping_ = false;
};

}  // namespace penstock::route
