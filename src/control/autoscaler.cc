#include "control/autoscaler.h"

#include <algorithm>

namespace penstock::control {
namespace {

std::string QueueSeries(const std::string& router) { return router + "\nqueued"; }
std::string RunSeries(const std::string& router, const std::string& replica) {
  return router + "\nreplica\n" + replica;
}

int RunningReplicas(const Deployment& deployment) {
  return static_cast<int>(
      std::count_if(deployment.replicas.begin(), deployment.replicas.end(), [](const Replica& r) {
        return r.state == ReplicaState::kRunning || r.state == ReplicaState::kUpdating;
      }));
}

}  // namespace

double SamplePeriod(const DeploymentSpec& spec) {
  if (!spec.autoscaling) return 0;
  return std::min(0.2 * spec.autoscaling->look_back_period_s, spec.autoscaling->metrics_interval_s);
}

void Autoscaler::Note(const LoadReport& report, TimePoint now) {
  Loads& loads = loads_[report.deployment];
  loads.settled = false;
  loads.window.Add(QueueSeries(report.router), now, report.queued);
  auto& named = loads.replicas[report.router];
  for (const auto& [replica, was_named] : named) {
    if (!report.running.contains(replica)) {
      loads.window.Add(RunSeries(report.router, replica), now, 0);
    }
  }
  for (const auto& [replica, running] : report.running) {
    named[replica] = true;
    loads.window.Add(RunSeries(report.router, replica), now, running);
  }
}

void Autoscaler::ForgetRouter(const std::string& router) {
  for (auto& [id, loads] : loads_) {
    loads.settled = false;
    loads.window.Drop(QueueSeries(router));
    for (const auto& [replica, named] : loads.replicas[router]) {
      loads.window.Drop(RunSeries(router, replica));
    }
    loads.replicas.erase(router);
  }
}

void Autoscaler::ForgetDeployment(const DeploymentId& id) { loads_.erase(id); }

bool Autoscaler::Tick(Deployment& deployment, TimePoint now) {
  const auto& spec = deployment.target.spec.autoscaling;
  if (!spec || deployment.target.deleting) return false;
  Loads& loads = loads_[deployment.id];
  // Series of replicas that are gone say nothing about the load there is.
  for (auto& [router, named] : loads.replicas) {
    std::erase_if(named, [&, who = router](const auto& entry) {
      if (deployment.Find(entry.first) != nullptr) return false;
      loads.window.Drop(RunSeries(who, entry.first));
      return true;
    });
  }
  loads.window.Trim(now, FromSeconds(spec->look_back_period_s));
  const autoscale::Load load{.running = RunningReplicas(deployment),
                             .target = deployment.target_replicas,
                             .requests = loads.window.Total(now, spec->aggregation_function)};
  const autoscale::Decision decision = autoscale::Decide(*spec, load, deployment.delay, now);
  deployment.delay = decision.state;
  loads.due = decision.due;
  // A window that holds any load changes as time passes; one of zeros does not.
  loads.settled = loads.window.Total(now, AutoscalingSpec::Aggregation::kMax) <= 0;
  const int before = deployment.target_replicas;
  if (decision.target == before) return false;
  deployment.target_replicas = decision.target;
  deployment.status =
      NextStatus(deployment.status,
                 decision.target > before ? StatusEvent::kAutoscaleUp : StatusEvent::kAutoscaleDown,
                 ScalingMessage(before, decision.target));
  return true;
}

TimePoint Autoscaler::NextTick(const Deployment& deployment, TimePoint now) const {
  const auto& spec = deployment.target.spec.autoscaling;
  const auto loads = loads_.find(deployment.id);
  if (!spec || deployment.target.deleting || loads == loads_.end()) return kNever;
  return loads->second.settled ? loads->second.due : now;
}

}  // namespace penstock::control
