// The state of one deployment, and what each event makes of it. Pure: values in, values out.
//
// Rules: behaviour specification 7.2 (states), 7.3 (health), 7.4 (start-up failures), 7.5
// (versions).
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "autoscale/policy.h"
#include "config/diff.h"
#include "control/status.h"
#include "penstock/deployment.h"
#include "penstock/ids.h"
#include "penstock/rank.h"
#include "penstock/units.h"
#include "resources/node.h"

namespace penstock::control {

enum class ReplicaState {
  kStarting,          // waits for a place, or initialises
  kUpdating,          // takes a new configuration
  kRunning,           // takes requests
  kPendingMigration,  // takes requests until another one does in its place: its node drains
  kStopping,          // finishes what it has
};

// "STARTING".
const char* Name(ReplicaState state);

// What a deployment should be.
struct Target {
  DeploymentSpec spec;
  nlohmann::json options = nlohmann::json::object();  // as the user set them
  nlohmann::json launch;                              // how to load the code
  std::string code_version;                           // differs whenever the code may differ
  bool deleting = false;
};

struct Replica {
  std::string unique;  // ReplicaId::unique
  ReplicaState state = ReplicaState::kStarting;

  // What it runs, which may be older than the target.
  std::string code_version;
  DeploymentSpec spec;
  Rank rank;

  // Where. Before it is placed, why not.
  bool placed = false;
  NodeId node;
  resources::Allocation allocation;
  // What is reserved for it: its part of a placement group, in the first of which it runs. Empty
  // for one that has no more than its allocation.
  std::vector<resources::Reservation> bundles;
  std::string gang;          // of the replicas it is placed and ends with; "" for none
  int gang_rank = 0;         // within it
  std::string pending_code;  // placement::kNeverFits or kFitsLater
  std::string pending_text;  // for people
  NodeId claim;              // where room is kept for it; "" for nowhere

  TimePoint since{};        // when it began to wait for a place, then to initialise
  double started_unix = 0;  // when its process started; 0 before
  int health_failures = 0;  // in a row
  nlohmann::json facts = nlohmann::json::object();  // what the engine and the code told
};

// True when requests are sent to it.
bool InService(const Replica& replica);

struct Deployment {
  DeploymentId id;
  Target target;
  int target_replicas = 0;
  StatusInfo status;
  std::vector<Replica> replicas;  // in order of creation

  // Start-up failures in a row since the last deploy or since it was healthy.
  int start_failures = 0;
  bool target_started = false;  // a replica of the target version has been ready
  bool gave_up = false;         // too many failures: nothing new until the next deploy
  int streak = 0;               // failures and crashes close together, for the back-off
  TimePoint last_failure{};
  TimePoint retry_at{};  // nothing new before this

  autoscale::DelayState delay;  // the autoscaler's memory
  bool stalled_told = false;    // the status message speaks of slow replicas

  // nullptr when there is none.
  Replica* Find(const std::string& unique);
  const Replica* Find(const std::string& unique) const;
};

// True when it is HEALTHY and all of its replicas simply run.
bool IsSettled(const Deployment& deployment);

// How many health checks may fail in a row.
inline constexpr int kHealthStrikes = 3;

// How a replica relates to the target.
enum class VersionMatch {
  kCurrent,      // runs the target
  kInPlace,      // differs in what the replica need not know
  kReconfigure,  // has to be told
  kOld,          // has to be replaced
};
VersionMatch MatchVersion(const Replica& replica, const Target& target);

// Adopts a new target. A change of num_replicas alone is a scaling, anything else a deploy;
// nothing at all is nothing.
void Retarget(Deployment& deployment, Target target, TimePoint now);

// Wants so many replicas of what it runs, >= 0, and says so in the status.
void SetTargetReplicas(Deployment& deployment, int replicas);

// Turns the target to "gone".
void MarkDeleting(Deployment& deployment);

// Adds a replica that waits for a place. `unique` is new.
Replica& AddReplica(Deployment& deployment, const std::string& unique, TimePoint now);

// It takes requests now.
void OnReady(Deployment& deployment, Replica& replica);

// It took (or, with an error, refused) its new configuration. A refusal makes it unfit: the
// return value says that it has to be stopped.
bool OnReconfigured(Deployment& deployment, Replica& replica, const std::string& error);

// It passed a health check.
void OnHealthy(Replica& replica);

// It failed a health check, because of `why`. True when that was one too many and it has to be
// stopped.
bool OnUnhealthy(Deployment& deployment, Replica& replica, const std::string& why, TimePoint now);

// It will not start: its constructor raised, its process ended, no node can ever hold it. The
// caller stops what is left of it.
void OnStartFailed(Deployment& deployment, Replica& replica, const std::string& error,
                   TimePoint now);

// Its process is gone. Forgets it; unless it was stopping, that is a failure with a cause.
void OnGone(Deployment& deployment, const std::string& unique, const std::string& cause,
            TimePoint now);

// It has lost a part of its place and cannot go on: the caller stops it.
void OnPlaceLost(Deployment& deployment, const Replica& replica, const std::string& cause,
                 TimePoint now);

// How long to wait before the next try after `streak` failures close together: none after the
// first, then 50 ms doubling up to 5 s. (Ray Serve does not wait; docs/differences.md.)
Duration RetryDelay(int streak);

// How many start-up failures end a deploy: min(max_constructor_retry_count, 3 x replicas).
int FailureLimit(const Deployment& deployment);

}  // namespace penstock::control
