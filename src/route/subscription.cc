#include "route/subscription.h"

#include <utility>

#include "base/log.h"

namespace penstock::route {

using Json = nlohmann::json;

Subscription::Subscription(base::Loop& loop, base::ControlLink& link, Router& router, Scope scope,
                           std::string name)
    : loop_(loop), link_(link), router_(router), scope_(scope), name_(std::move(name)) {
  router_.SetOnQueue([this](DeploymentQueue& queue) { OnQueue(queue); });
}

Subscription::~Subscription() {
  router_.SetOnQueue(nullptr);
  for (const auto& [id, queue] : router_.queues()) queue->SetWatcher(nullptr);
  for (const auto& [id, timer] : sampling_) loop_.Cancel(timer);
}

Json Subscription::SubscribeParams() const {
  Json params = {{"router", name_}, {"everything", scope_ == Scope::kEverything}};
  params["deployments"] = Json::array();
  for (const auto& [id, queue] : router_.queues()) {
    params["deployments"].push_back({{"app", id.app}, {"name", id.name}});
  }
  return params;
}

void Subscription::OnUp() {
  link_.Notify("routes.subscribe", {SubscribeParams(), ""});
  // A new controller knows no load; what it was told before the break is lost.
  for (const auto& [id, queue] : router_.queues()) {
    if (queue->queued() > 0 || sampling_.contains(id)) Report(id);
  }
}

void Subscription::OnQueue(DeploymentQueue& queue) {
  queue.SetWatcher([this, &queue] { Watch(queue); });
  if (scope_ == Scope::kEverything || queue.known()) return;
  const DeploymentId& id = queue.route().id;
  link_.Notify("routes.subscribe",
               {{{"router", name_},
                 {"everything", false},
                 {"deployments", Json::array({{{"app", id.app}, {"name", id.name}}})}},
                ""});
}

bool Subscription::OnNotice(const std::string& method, const Json& params) {
  if (method != "routes") return false;
  const auto update = ParseRouteUpdate(params);
  if (!update.ok()) {
    base::LogError("route_update_refused", {{"why", update.status().message()}});
    return true;
  }
  router_.Apply(*update);
  link_.Notify("routes.ack", {{{"epoch", update->epoch}}, ""});
  for (const DeploymentRoute& route : update->deployments) Resume(route.id);
  return true;
}

// Whether and how often load is to be told may be known only now.
void Subscription::Resume(const DeploymentId& id) {
  const DeploymentQueue& queue = router_.Queue(id);
  if (queue.route().sample_period_s <= 0 || sampling_.contains(id)) return;
  const Load load = queue.Sample();
  if (owed_.contains(id) || load.queued > 0 || !load.running.empty()) Report(id);
}

// Samples while there is load, and once more when it ended; an idle router is silent.
void Subscription::Watch(DeploymentQueue& queue) {
  const DeploymentId& id = queue.route().id;
  // The first request for a deployment without replicas is news at once: it may be asleep.
  const bool asleep = queue.queued() == 1 && queue.route().replicas.empty();
  if (sampling_.contains(id) && !asleep) return;
  if (queue.known() && queue.route().sample_period_s <= 0) return;
  Report(id);
}

void Subscription::Report(const DeploymentId& id) {
  const auto timer = sampling_.find(id);
  if (timer != sampling_.end()) {
    loop_.Cancel(timer->second);
    sampling_.erase(timer);
  }
  const DeploymentQueue& queue = router_.Queue(id);
  const Load load = queue.Sample();
  link_.Notify("load.report", {{{"router", name_},
                                {"app", id.app},
                                {"name", id.name},
                                {"arrived", load.arrived},
                                {"queued", load.queued},
                                {"running", load.running}},
                               ""});
  const bool idle = load.queued == 0 && load.running.empty();
  owed_.erase(id);
  if (idle) return;
  const double period_s = queue.route().sample_period_s;
  if (period_s <= 0) {
    owed_.insert(id);
    return;
  }
  sampling_[id] = loop_.After(FromSeconds(period_s), [this, id] {
    sampling_.erase(id);
    Report(id);
  });
}

}  // namespace penstock::route
