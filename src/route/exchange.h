// One request and its reply, as the caller's side sees them.
//
// Thread: the router's loop.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "penstock/deployment.h"
#include "penstock/units.h"
#include "route/policy.h"

namespace penstock::route {

class DeploymentQueue;
class ReplicaLink;

// Why a request got no reply. It did not run, except with kReplicaDied: then nobody knows.
struct Failure {
  enum class Kind {
    kBackpressure,  // `queued` callers wait already, `limit` may
    kUnavailable,   // the deployment failed to deploy or was deleted, and nothing runs
    kReplicaDied,   // the replica that held it is gone
    kShutdown,      // this router is closing
    kReplicaGone,   // it was for one replica alone, which is not there or leaving
    kRouterFailed,  // the deployment's custom router raised: `message`
    kTooLate,       // its deadline is so near that it gave way to others
  };
  Kind kind = Kind::kUnavailable;
  std::string message;  // for people, Ray Serve's words where it has any
  int queued = 0;
  int limit = 0;
  BackpressureSpec backpressure;
};

// Who waits for the reply. Calls come on the loop; each may cancel the exchange, which ends them.
class ReplySink {
 public:
  virtual ~ReplySink() = default;

  // The head of the reply and, behind it, the first piece of the body. `flags`: kEnd, kFailure.
  virtual void OnReply(std::string_view payload, std::uint8_t flags) = 0;

  // A further piece. `flags`: kEnd, kFailure.
  virtual void OnBody(std::string_view piece, std::uint8_t flags) = 0;

  // The replica takes `bytes` more of the request's body. Comes only if the request was started
  // without its end; the first call means that the request was admitted.
  virtual void OnCredit(std::uint32_t bytes) = 0;

  // There will be no (further) reply.
  virtual void OnFailure(const Failure& failure) = 0;

  // What of the request has not been given to the exchange yet: a custom router may look at it.
  virtual std::string_view Unsent() const { return {}; }
};

// What a custom router was asked about a request.
struct Inquiry {
  std::optional<Ranking> told;  // its answer
  TimePoint again{};            // when to ask anew if nobody that it named can take the request
};

class Exchange : public std::enable_shared_from_this<Exchange> {
 public:
  // `payload`: encoded request head and inline body. `end`: the body is complete with it.
  // `sink` is borrowed until the reply ended, failed, or Cancel.
  Exchange(DeploymentQueue& queue, std::string payload, bool end, ReplySink& sink);

  // Sends a piece of the body. Pre: within the credit given.
  void SendBody(std::string_view piece, bool end);

  // Lets the replica send `bytes` more of the reply's body.
  void GrantCredit(std::uint32_t bytes);

  // Nobody waits any more: a queued request is dropped, a running one is told. No call to the
  // sink follows.
  void Cancel();

  // Its deadline has come: as Cancel.
  void Expire();

  // Nobody waits for the reply, but the request is to run to its end. No call to the sink follows.
  void Abandon();

  // True once the reply ended, failed or was cancelled.
  bool done() const { return sink_ == nullptr; }

  // Unique of the replica that works on it; "" while it is queued.
  const std::string& replica() const { return replica_; }

 private:
  friend class DeploymentQueue;
  friend class ReplicaLink;

  // Takes the sink away: at most one end is reported.
  ReplySink* Finish();

  DeploymentQueue* queue_;  // nullptr when the deployment is forgotten
  ReplicaLink* link_ = nullptr;
  std::uint32_t stream_ = 0;
  std::uint64_t sequence_ = 0;        // order of arrival; a refused request goes back to its place
  std::uint64_t point_ = 0;           // on a hash ring
  bool near_ = false;                 // prefers replicas of this node
  std::shared_ptr<Inquiry> inquiry_;  // for a custom router; nullptr: it is to be asked
  int inquiries_ = 0;                 // how often it was asked
  std::uint64_t known_in_ = 0;        // the custom router's life in which it knows of this; 0: none
  std::string model_;                 // that it asks for, or ""
  TimePoint patient_until_{};         // until then it waits for replicas that have its model
  bool stands_aside_ = false;         // in the queue although a replica is open
  bool pinned_ = false;               // for its replica alone
  TimePoint arrived_{};               // with a deadline: when it came
  TimePoint deadline_ = kNever;
  bool waited_ = false;  // with a deadline: not sent at once
  std::string payload_;
  std::string replica_;
  bool end_;
  bool answered_ = false;   // its reply is still coming, but it is no longer ongoing
  bool committed_ = false;  // admitted for certain: never to be sent elsewhere
  ReplySink* sink_;
  std::unique_ptr<ReplySink> discard_;  // of an abandoned exchange
};

}  // namespace penstock::route
