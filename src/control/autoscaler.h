// Load reports in, new targets out: the shell around autoscale/.
//
// Thread: the controller's loop.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "autoscale/journal.h"
#include "autoscale/policy.h"
#include "autoscale/slo.h"
#include "autoscale/window.h"
#include "control/deployment.h"
#include "control/policy_port.h"
#include "control/traffic.h"
#include "penstock/ids.h"
#include "penstock/units.h"

namespace penstock::control {

// How often an autoscaled deployment is decided upon, as in Ray Serve's control loop.
inline constexpr Duration kAutoscalePeriod = std::chrono::milliseconds(100);

// How often its routers sample their load, in seconds (behaviour specification, 5.2); 0 for a
// deployment of fixed size.
double SamplePeriod(const DeploymentSpec& spec);

// What one router queues and runs.
struct LoadReport {
  std::string router;
  DeploymentId deployment;
  std::uint64_t arrived = 0;  // ever, at this router
  double queued = 0;
  std::map<std::string, double> running;  // by replica
};

class Autoscaler {
 public:
  // Where a deployment's policy of the user's listens; "" when it has none.
  using SocketOf = std::function<std::string(const Deployment&)>;

  // `policies` may be null: then policies of the user's are not asked, and counts stay.
  Autoscaler(PolicyPort* policies, SocketOf socket_of)
      : policies_(policies), socket_of_(std::move(socket_of)) {}

  Autoscaler(const Autoscaler&) = delete;
  Autoscaler& operator=(const Autoscaler&) = delete;

  // Notes a report. It replaces what the same router said of the deployment before.
  void Note(const LoadReport& report, TimePoint now);

  // A router is gone; what it queued and ran counts no more.
  void ForgetRouter(const std::string& router);

  // The deployment is gone.
  void ForgetDeployment(const DeploymentId& id);

  // One tick: moves target and status of an autoscaled deployment. True when they changed; then the
  // journal says why. `unix_s` is `now` for people.
  bool Tick(Deployment& deployment, TimePoint now, double unix_s);

  // A replica of an autoscaled deployment is about to make room for others: one less is wanted,
  // until its load asks for more. `why` is for people. Pre: the replica is not stopping yet.
  void Displace(Deployment& deployment, const std::string& why, TimePoint now, double unix_s);

  // Every change of a deployment's target, the latest of them; nullptr before there was any.
  const autoscale::Journal* JournalOf(const DeploymentId& id) const;

  // When the next tick may decide anything; kNever while the load is zero and nothing waits. A
  // policy of the user's may go by anything, so it is asked each time.
  TimePoint NextTick(const Deployment& deployment, TimePoint now) const;

 private:
  // What is between a deployment and its policy.
  struct Questions {
    std::string socket;                // of the one that was asked last
    std::uint64_t asked = 0;           // the question that waits for its answer; 0: none
    std::optional<double> told;        // an answer that has not been acted upon
    std::string trouble;               // why there was none last time, "" when there was one
    std::optional<TimePoint> went_up;  // when it last scaled
    std::optional<TimePoint> went_down;
  };
  struct Loads {
    autoscale::LoadWindow window;
    autoscale::LoadWindow queued;  // the part of it that waits
    Questions questions;
    Traffic traffic;
    std::optional<autoscale::SloPolicy> slo;  // of the policy "penstock:slo"
    TimePoint asked_slo{};                    // its last tick
    autoscale::Journal journal;
    std::map<std::string, std::map<std::string, bool>> replicas;  // router -> replicas it named
    TimePoint due = kNever;                                       // of the delay that is running
    bool settled = false;  // the last tick saw all there is to see
    // As of the last decision, and as it left them: when they change there is another one to make.
    int running = 0;
    int target = 0;
  };
  std::optional<autoscale::JournalEntry> Decide(Deployment& deployment, Loads& loads,
                                                TimePoint now);
  static autoscale::SloDecision AskSlo(const Deployment& deployment, Loads& loads, TimePoint now);
  void Ask(const Deployment& deployment, Loads& loads, const autoscale::Load& load, TimePoint now);
  void OnAnswer(const DeploymentId& id, std::uint64_t question, const Result<double>& answer);

  PolicyPort* policies_;
  // Answers that come when this is gone are nobody's.
  std::shared_ptr<Autoscaler*> self_ = std::make_shared<Autoscaler*>(this);
  SocketOf socket_of_;
  std::uint64_t next_question_ = 1;
  std::map<DeploymentId, Loads> loads_;
};

}  // namespace penstock::control
