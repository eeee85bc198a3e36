#include "control/autoscaler.h"

#include <algorithm>

#include "base/log.h"
#include "control/precedence.h"
#include "control/rollout.h"

namespace penstock::control {
namespace {

// How often penstock:slo decides.
constexpr Duration kSloPeriod = std::chrono::seconds(1);

std::string QueueSeries(const std::string& router) { return router + "\nqueued"; }
std::string RunSeries(const std::string& router, const std::string& replica) {
  return router + "\nreplica\n" + replica;
}

int RunningReplicas(const Deployment& deployment) {
  return static_cast<int>(std::count_if(deployment.replicas.begin(), deployment.replicas.end(),
                                        [](const Replica& r) { return InService(r); }));
}

}  // namespace

double SamplePeriod(const DeploymentSpec& spec) {
  if (!spec.autoscaling) return 0;
  const AutoscalingSpec& autoscaling = *spec.autoscaling;
  const double period_s =
      std::min(0.2 * autoscaling.look_back_period_s, autoscaling.metrics_interval_s);
  return autoscaling.slo ? std::min(period_s, ToSeconds(kSloPeriod)) : period_s;
}

void Autoscaler::Note(const LoadReport& report, TimePoint now) {
  Loads& loads = loads_[report.deployment];
  loads.settled = false;
  loads.window.Add(QueueSeries(report.router), now, report.queued);
  loads.queued.Add(QueueSeries(report.router), now, report.queued);
  Traffic::Report traffic{.arrived = report.arrived, .queued = report.queued};
  for (const auto& [replica, running] : report.running) traffic.running += running;
  loads.traffic.Note(report.router, traffic);
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
    loads.traffic.Forget(router);
    loads.window.Drop(QueueSeries(router));
    loads.queued.Drop(QueueSeries(router));
    for (const auto& [replica, named] : loads.replicas[router]) {
      loads.window.Drop(RunSeries(router, replica));
    }
    loads.replicas.erase(router);
  }
}

void Autoscaler::ForgetDeployment(const DeploymentId& id) {
  const auto loads = loads_.extract(id);
  if (loads.empty() || policies_ == nullptr) return;
  const std::string& socket = loads.mapped().questions.socket;
  if (!socket.empty()) policies_->Forget(socket);
}

const autoscale::Journal* Autoscaler::JournalOf(const DeploymentId& id) const {
  const auto loads = loads_.find(id);
  return loads == loads_.end() ? nullptr : &loads->second.journal;
}

bool Autoscaler::Tick(Deployment& deployment, TimePoint now, double unix_s) {
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
  for (autoscale::LoadWindow* window : {&loads.window, &loads.queued}) {
    window->Trim(now, FromSeconds(spec->look_back_period_s));
  }
  auto entry = Decide(deployment, loads, now);
  // A window that holds any load changes as time passes; one of zeros does not. To penstock:slo the
  // window matters at a cold start only.
  const bool cold = !spec->slo || RunningReplicas(deployment) == 0;
  loads.settled = !cold || loads.window.Total(now, AutoscalingSpec::Aggregation::kMax) <= 0;
  if (!entry) return false;
  const autoscale::Decision decision = entry->decision;
  deployment.delay = decision.state;
  loads.due = decision.due;
  loads.running = RunningReplicas(deployment);
  loads.target = decision.target;
  const int before = deployment.target_replicas;
  if (decision.target == before) return false;
  (decision.target > before ? loads.questions.went_up : loads.questions.went_down) = now;
  entry->unix_s = unix_s;
  entry->queued = loads.queued.Total(now, spec->aggregation_function);
  loads.journal.Note(*std::move(entry));
  deployment.target_replicas = decision.target;
  deployment.status =
      NextStatus(deployment.status,
                 decision.target > before ? StatusEvent::kAutoscaleUp : StatusEvent::kAutoscaleDown,
                 ScalingMessage(before, decision.target));
  return true;
}

void Autoscaler::Displace(Deployment& deployment, const std::string& why, TimePoint now,
                          double unix_s) {
  const int before = deployment.target_replicas;
  // One that it has beyond its target was about to go anyway.
  if (HeldReplicas(deployment) > before) return;
  const AutoscalingSpec& spec = *deployment.target.spec.autoscaling;
  Loads& loads = loads_[deployment.id];
  const auto function = spec.aggregation_function;
  loads.journal.Note({.unix_s = unix_s,
                      .now = now,
                      .spec = spec,
                      .load = {.running = RunningReplicas(deployment),
                               .target = before,
                               .requests = loads.window.Total(now, function)},
                      .queued = loads.queued.Total(now, function),
                      .made_room = why,
                      .decision = {.target = before - 1, .desired = before, .rule = "made_room"}});
  deployment.delay = {};
  deployment.target_replicas = before - 1;
  deployment.status = NextStatus(deployment.status, StatusEvent::kAutoscaleDown, why);
}

// Nothing while a policy of the user's has not answered.
std::optional<autoscale::JournalEntry> Autoscaler::Decide(Deployment& deployment, Loads& loads,
                                                          TimePoint now) {
  const AutoscalingSpec& spec = *deployment.target.spec.autoscaling;
  autoscale::JournalEntry entry{
      .now = now,
      .spec = spec,
      .load = {.running = RunningReplicas(deployment),
               .target = deployment.target_replicas,
               .requests = loads.window.Total(now, spec.aggregation_function),
               .gang_size = GangSize(deployment.target.spec)},
      .before = deployment.delay};
  if (spec.slo && !autoscale::IsColdStart(entry.load)) {
    if (now - loads.asked_slo < kSloPeriod) return std::nullopt;
    entry.slo = AskSlo(deployment, loads, now);
  } else if (spec.policy && !autoscale::IsColdStart(entry.load)) {
    entry.wanted = std::exchange(loads.questions.told, std::nullopt);
    if (loads.questions.asked == 0) Ask(deployment, loads, entry.load, now);
    if (!entry.wanted) {
      // Bounds hold whatever a policy says, or does not.
      const int bounded = autoscale::Bounded(spec, entry.load.target);
      if (bounded == entry.load.target) return std::nullopt;
      entry.wanted = bounded;
    }
  }
  entry.decision = autoscale::Replay(entry, spec);
  return entry;
}

autoscale::SloDecision Autoscaler::AskSlo(const Deployment& deployment, Loads& loads,
                                          TimePoint now) {
  const DeploymentSpec& spec = deployment.target.spec;
  const AutoscalingSpec& autoscaling = *spec.autoscaling;
  const autoscale::SloConfig config{
      .objective = *autoscaling.slo,
      .max_ongoing = spec.max_ongoing_requests,
      .min_replicas = autoscaling.min_replicas,
      .max_replicas = autoscaling.max_replicas,
      .to_zero_delay_s =
          autoscaling.downscale_to_zero_delay_s.value_or(autoscaling.downscale_delay_s)};
  if (loads.slo) {
    loads.slo->Configure(config);
  } else {
    loads.slo.emplace(config);
  }
  loads.asked_slo = now;
  const Traffic::Sum traffic = loads.traffic.Take();
  const int ready = RunningReplicas(deployment);
  return loads.slo->Tick({.now = now,
                          .arrivals = traffic.arrivals,
                          .completed = traffic.completed,
                          .queued = traffic.queued,
                          .running = traffic.running,
                          .ready = ready,
                          .starting = std::max(0, deployment.target_replicas - ready)});
}

void Autoscaler::Ask(const Deployment& deployment, Loads& loads, const autoscale::Load& load,
                     TimePoint now) {
  if (policies_ == nullptr) return;
  Questions& questions = loads.questions;
  const std::string socket = socket_of_(deployment);
  if (!questions.socket.empty() && questions.socket != socket) policies_->Forget(questions.socket);
  questions.socket = socket;
  const AutoscalingSpec& spec = *deployment.target.spec.autoscaling;
  const auto ago = [&](const std::optional<TimePoint>& when) {
    return when ? nlohmann::json(ToSeconds(now - *when)) : nlohmann::json();
  };
  nlohmann::json running = nlohmann::json::array();
  for (const Replica& replica : deployment.replicas) {
    if (InService(replica)) running.push_back(replica.unique);
  }
  const nlohmann::json context = {
      {"running", running},
      {"target", load.target},
      {"total_requests", load.requests},
      {"queued_requests", loads.queued.Total(now, spec.aggregation_function)},
      {"min_replicas", spec.min_replicas},
      {"max_replicas", spec.max_replicas},
      {"scaled_up_ago_s", ago(questions.went_up)},
      {"scaled_down_ago_s", ago(questions.went_down)},
      {"config", deployment.target.options.value("autoscaling_config", nlohmann::json::object())}};
  const std::uint64_t question = next_question_++;
  questions.asked = question;
  policies_->Ask(
      socket, context,
      [self = std::weak_ptr(self_), id = deployment.id, question](const Result<double>& answer) {
        if (const auto alive = self.lock()) (*alive)->OnAnswer(id, question, answer);
      });
}

void Autoscaler::OnAnswer(const DeploymentId& id, std::uint64_t question,
                          const Result<double>& answer) {
  const auto loads = loads_.find(id);
  if (loads == loads_.end() || loads->second.questions.asked != question) return;
  Questions& questions = loads->second.questions;
  questions.asked = 0;
  if (answer.ok()) {
    questions.told = *answer;
    questions.trouble.clear();
    return;
  }
  // Told once, not ten times a second.
  const std::string& why = answer.status().message();
  if (answer.status().code() == Code::kUnavailable || why == questions.trouble) return;
  questions.trouble = why;
  base::LogError("autoscaling_policy_failed", {{"deployment", id.ToString()}, {"why", why}});
}

TimePoint Autoscaler::NextTick(const Deployment& deployment, TimePoint now) const {
  const auto& spec = deployment.target.spec.autoscaling;
  const auto loads = loads_.find(deployment.id);
  if (!spec || deployment.target.deleting || loads == loads_.end()) return kNever;
  if (spec->policy) return now;
  if (spec->slo) {
    return loads->second.settled ? std::max(now, loads->second.asked_slo + kSloPeriod) : now;
  }
  const Loads& known = loads->second;
  const bool as_decided =
      known.running == RunningReplicas(deployment) && known.target == deployment.target_replicas;
  return known.settled && as_decided ? known.due : now;
}

}  // namespace penstock::control
