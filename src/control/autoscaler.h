// Load reports in, new targets out: the shell around autoscale/.
//
// Thread: the controller's loop.
#pragma once

#include <map>
#include <string>

#include "autoscale/policy.h"
#include "autoscale/window.h"
#include "control/deployment.h"
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
  double queued = 0;
  std::map<std::string, double> running;  // by replica
};

class Autoscaler {
 public:
  // Notes a report. It replaces what the same router said of the deployment before.
  void Note(const LoadReport& report, TimePoint now);

  // A router is gone; what it queued and ran counts no more.
  void ForgetRouter(const std::string& router);

  // The deployment is gone.
  void ForgetDeployment(const DeploymentId& id);

  // One tick: moves target and status of an autoscaled deployment. True when they changed.
  bool Tick(Deployment& deployment, TimePoint now);

  // When the next tick may decide anything; kNever while the load is zero and nothing waits.
  TimePoint NextTick(const Deployment& deployment, TimePoint now) const;

 private:
  struct Loads {
    autoscale::LoadWindow window;
    std::map<std::string, std::map<std::string, bool>> replicas;  // router -> replicas it named
    TimePoint due = kNever;                                       // of the delay that is running
    bool settled = false;  // the last tick saw all there is to see
  };
  std::map<DeploymentId, Loads> loads_;
};

}  // namespace penstock::control
