#include "scenario/sim.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "scenario/invariants.h"

namespace penstock::scenario {

using Kind = engine::ReplicaEvent::Kind;
using nlohmann::json;

// ---- engine ---------------------------------------------------------------------------------

Duration SimEngine::Delay() const {
  const auto most = static_cast<std::uint64_t>(faults.max_delay.count());
  if (faults.random == nullptr || most == 0) return Duration::zero();
  return Duration(static_cast<Duration::rep>(faults.random->Next() % most));
}

int SimEngine::Copies() const {
  if (faults.random == nullptr) return 1;
  return static_cast<double>(faults.random->Next() % 1000) < faults.duplicated * 1000 ? 2 : 1;
}

// On the connection that is there now: what is under way when it breaks never arrives.
void SimEngine::Deliver(const NodeId& node, TimePoint when, std::function<void()> what) {
  const auto link = links_.find(node);
  if (link == links_.end()) return;
  if (when <= clock_.now) return what();
  agenda_.At(when, [this, node, number = link->second.number, what = std::move(what)] {
    const auto now = links_.find(node);
    if (now != links_.end() && now->second.number == number) what();
  });
}

void SimEngine::TellFrom(const NodeId& node, const engine::ReplicaEvent& event) {
  for (int copies = Copies(); copies > 0; --copies) {
    Deliver(node, clock_.now + Delay(), [this, event] { listener_->OnReplicaEvent(event); });
  }
}

void SimEngine::Tell(const ReplicaId& id, Kind kind, const std::string& message) {
  const auto replica = replicas.find(id);
  if (replica == replicas.end()) return;
  json facts = json::object();
  if (kind == Kind::kReady) facts["socket"] = "/sim/" + id.unique;
  TellFrom(replica->second.order.node,
           {.kind = kind, .id = id, .message = message, .facts = std::move(facts)});
}

void SimEngine::Order(const NodeId& node, const std::function<void()>& carry_out) {
  const auto link = links_.find(node);
  if (link == links_.end()) return;
  link->second.last_order = std::max(link->second.last_order, clock_.now + Delay());
  for (int copies = Copies(); copies > 0; --copies) {
    Deliver(node, link->second.last_order, carry_out);
  }
}

void SimEngine::Start(const engine::StartOrder& order) {
  Order(order.node, [this, order] { Begin(order); });
}

void SimEngine::Reconfigure(const engine::ReconfigureOrder& order) {
  Order(order.node, [this, order] { Change(order); });
}

void SimEngine::Stop(const engine::StopOrder& order) {
  if (on_stop) on_stop(order);
  Order(order.node, [this, order] { End(order); });
}

void SimEngine::Begin(const engine::StartOrder& order) {
  if (!replicas.try_emplace(order.id, SimReplica{.order = order}).second) return;
  ++starts;
  const ReplicaId id = order.id;
  const Behaviour behaviour = behaviours[id.deployment.name];
  agenda_.At(clock_.now + std::chrono::milliseconds(1), [this, id] { Tell(id, Kind::kSpawned); });
  agenda_.At(clock_.now + behaviour.start, [this, id, error = behaviour.start_error] {
    const auto found = replicas.find(id);
    if (found == replicas.end() || found->second.stopping) return;
    found->second.start_failed = !error.empty();
    if (!error.empty()) return Tell(id, Kind::kStartFailed, error);
    found->second.ready = true;
    Tell(id, Kind::kReady);
  });
}

// What a replica took is what a new controller is told; its rank counts as taken at once.
void SimEngine::Change(const engine::ReconfigureOrder& order) {
  reconfigured.push_back(order);
  const auto replica = replicas.find(order.id);
  if (replica != replicas.end()) replica->second.order.rank = order.rank;
  // A rank that user code does not like is no refusal.
  const bool may_refuse = order.user_config_changed;
  const std::string error =
      may_refuse ? behaviours[order.id.deployment.name].reconfigure_error : "";
  agenda_.At(clock_.now + std::chrono::milliseconds(5), [this, order, error] {
    const auto found = replicas.find(order.id);
    if (found == replicas.end()) return;
    if (order.user_config_changed) found->second.refused = !error.empty();
    if (error.empty()) {
      found->second.order.options = order.options;
      found->second.order.app_record = order.app_record;
    }
    Tell(order.id, Kind::kReconfigured, error);
  });
}

void SimEngine::End(const engine::StopOrder& order) {
  const auto found = replicas.find(order.id);
  if (found == replicas.end()) {
    return TellFrom(order.node, {.kind = Kind::kStopped, .id = order.id, .message = "unknown"});
  }
  found->second.stopping = true;
  const Duration drain = behaviours[order.id.deployment.name].drain;
  const Duration needed = found->second.ready ? drain : Duration::zero();
  agenda_.At(clock_.now + std::min(needed, order.grace), [this, id = order.id] { Finish(id); });
}

void SimEngine::Finish(const ReplicaId& id) { Crash(id, "stopped"); }

void SimEngine::StartProxy(const NodeId&, const engine::ProxyOrder& order,
                           std::function<void(Result<std::string>)> done) {
  const auto answer = [this, asked = listeners_,
                       done = std::move(done)](const Result<std::string>& r) {
    if (asked == listeners_) done(r);
  };
  agenda_.At(clock_.now + std::chrono::milliseconds(2), [this, order, answer] {
    if (proxy_error) return answer(Status(Code::kUnavailable, *proxy_error));
    if (!proxy) proxy = order;
    answer("127.0.0.1:" + std::to_string(proxy->port));
  });
}

void SimEngine::StopProxy(const NodeId&, std::function<void(Status)> done) {
  agenda_.At(clock_.now + std::chrono::milliseconds(20),
             [this, asked = listeners_, done = std::move(done)] {
               proxy.reset();
               if (asked == listeners_) done({});
             });
}

void SimEngine::AddNode(const resources::NodeSpec& node,
                        const std::vector<engine::AdoptedReplica>& adopted) {
  links_[node.id] = {.number = next_link_++};
  if (proxy && node.is_head) listener_->OnProxyRuns(node.id, *proxy);
  listener_->OnNodeUp(node, adopted);
}

void SimEngine::KillNode(const NodeId& node) {
  std::erase_if(replicas, [&](const auto& entry) { return entry.second.order.node == node; });
  Disconnect(node);
}

void SimEngine::Disconnect(const NodeId& node) {
  if (links_.erase(node) > 0) listener_->OnNodeDown(node, "killed");
}

void SimEngine::Crash(const ReplicaId& id, const std::string& cause) {
  const auto replica = replicas.extract(id);
  if (replica.empty()) return;
  TellFrom(replica.mapped().order.node, {.kind = Kind::kStopped, .id = id, .message = cause});
}

void SimEngine::FailCheck(const ReplicaId& id) {
  Tell(id, Kind::kUnhealthy, "check_health raised");
}
void SimEngine::SayBusy(const ReplicaId& id) {
  listener_->OnReplicaEvent({.kind = Kind::kBusy,
                             .id = id,
                             .message = "",
                             .facts = {{"health", {{"state", "busy"}, {"since_s", 1.0}}}}});
}
void SimEngine::PassCheck(const ReplicaId& id) { Tell(id, Kind::kHealthy); }

std::vector<engine::AdoptedReplica> SimEngine::Survivors(const NodeId& node) const {
  std::vector<engine::AdoptedReplica> survivors;
  for (const auto& [id, replica] : replicas) {
    if (replica.order.node != node) continue;
    survivors.push_back({.order = replica.order,
                         .ready = replica.ready,
                         .stopping = replica.stopping || replica.start_failed,
                         .facts = {{"socket", "/sim/" + id.unique}}});
  }
  return survivors;
}

// ---- routers --------------------------------------------------------------------------------

void SimRouters::Publish(control::RouterId router, const route::RouteUpdate& update) {
  told[router] = update.epoch;
  if (router == 1) Adopt(update);
  if (silent || (loses && loses())) return;
  agenda_.At(clock_.now + delay, [this, router, epoch = update.epoch] {
    if (controller == nullptr) return;
    if (router == 1) acknowledged_ = std::max(acknowledged_, epoch);
    controller->OnAcknowledge(router, epoch);
  });
}

void SimRouters::Adopt(const route::RouteUpdate& update) {
  const auto before = table;
  if (update.full) table.clear();
  for (const auto& deployment : update.deployments) table[deployment.id] = deployment;
  for (const auto& id : update.removed) table.erase(id);
  if (update.http) http = *update.http;
  for (const auto& [id, route] : before) {
    for (const auto& replica : route.replicas) {
      if (!Routed({id, replica.id})) dropped_[{id, replica.id}] = {update.epoch, clock_.now};
    }
  }
}

bool SimRouters::Routed(const ReplicaId& id) const {
  const auto route = table.find(id.deployment);
  return route != table.end() &&
         std::any_of(route->second.replicas.begin(), route->second.replicas.end(),
                     [&](const auto& replica) { return replica.id == id.unique; });
}

bool SimRouters::MayStop(const ReplicaId& id) const {
  if (Routed(id)) return false;
  const auto dropped = dropped_.find(id);
  return dropped == dropped_.end() || acknowledged_ >= dropped->second.epoch ||
         clock_.now >= dropped->second.when + std::chrono::seconds(2);
}

// ---- the instance ---------------------------------------------------------------------------

Sim::Sim(std::uint64_t seed, placement::Strategy strategy) : random(seed), strategy_(strategy) {
  engine.on_stop = [this](const engine::StopOrder& order) {
    const auto found = engine.replicas.find(order.id);
    const bool serves = found != engine.replicas.end() && found->second.ready;
    if (serves && !routers.MayStop(order.id)) stopped_early_.push_back(order.id);
  };
  StartController();
}

void Sim::StartController() {
  routers.ForgetAcknowledged();
  controller = std::make_unique<control::Controller>(
      control::Controller::Ports{clock, mortal_engine_, mortal_store_, mortal_routers_, random,
                                 &policies},
      control::ControllerOptions{.placement = {.strategy = strategy_},
                                 .store_lost = std::exchange(store_lost_, "")});
  routers.controller = controller.get();
  EXPECT_TRUE(controller->Recover().ok());
  controller->OnSubscribe(1, "node0", /*everything=*/true, {});
  controller->Settle();
}

void Sim::RestartController() {
  ReplaceController();
  for (const auto& node : specs_) engine.AddNode(node, engine.Survivors(node.id));
  Settle();
}

void Sim::LoseStore() {
  store = {};
  store_lost_ = "it was garbage.";
  ReplaceController();
}

void Sim::DieAfter(int points) { life_.EndsAfter(points); }

void Sim::Settle() {
  controller->Settle();
  drained_ = drained();  // it may be taken back before any time passes
  if (!life_.over()) return;
  ++deaths_;
  life_.Renew();
  RestartController();
}

void Sim::ReplaceController() {
  routers.controller = nullptr;
  StartController();
}

void Sim::Rejoin(const NodeId& id) {
  for (const auto& node : specs_) {
    if (node.id == id) engine.AddNode(node, engine.Survivors(id));
  }
  Settle();
}

void Sim::KillNode(const NodeId& id) {
  std::erase_if(specs_, [&](const auto& node) { return node.id == id; });
  engine.KillNode(id);
  Settle();
}

void Sim::Disconnect(const NodeId& id) {
  engine.Disconnect(id);
  Settle();
}

NodeId Sim::AddNode(const std::string& name, std::map<std::string, int> totals,
                    resources::Labels labels) {
  resources::NodeSpec node{.id = "node" + std::to_string(nodes_),
                           .name = name,
                           .ip = "127.0.0." + std::to_string(nodes_ + 1),
                           .is_head = nodes_ == 0,
                           .labels = std::move(labels)};
  ++nodes_;
  for (const auto& [resource, amount] : totals) node.total.Set(resource, Quantity::Units(amount));
  specs_.push_back(node);
  engine.AddNode(node);
  Settle();
  return node.id;
}

void Sim::Deploy(const std::string& app, const json& options, const std::string& version) {
  DeployApp({{"name", app},
             {"route_prefix", "/" + app},
             {"ingress", "d"},
             {"deployments", {{{"name", "d"}, {"options", options}}}}},
            version);
}

void Sim::DeployApp(const json& params, const std::string& version) {
  const Status status = TryDeploy(params, version);
  EXPECT_TRUE(status.ok()) << status.message();
}

Status Sim::TryDeploy(const json& params, const std::string& version) {
  auto request = control::ParseAppRequest(params, version);
  if (!request.ok()) return request.status();
  const Status status = controller->Deploy(*std::move(request));
  Settle();
  return status;
}

void Sim::Run(Duration span) {
  const TimePoint end = clock.now + span;
  while (true) {
    const TimePoint next = std::min(agenda.next(), controller->next_wake());
    if (next > end) break;
    clock.now = std::max(clock.now, next);
    while (agenda.next() <= clock.now) {
      agenda.RunFirst();
      Settle();
    }
    Settle();
    drained_ = drained();
    CheckInvariants();
  }
  clock.now = end;
  Settle();
}

bool Sim::RunUntil(const std::function<bool()>& done, Duration limit) {
  const TimePoint end = clock.now + limit;
  while (!done()) {
    const TimePoint next = std::min(agenda.next(), controller->next_wake());
    if (next > end) return false;
    Run(std::max(Duration(1), next - clock.now));
  }
  return true;
}

const control::Deployment* Sim::Find(const std::string& app, const std::string& name) const {
  const auto found = controller->state().deployments.find({app, name});
  return found == controller->state().deployments.end() ? nullptr : &found->second;
}

std::vector<ReplicaId> Sim::Replicas(const std::string& app, const std::string& name) const {
  std::vector<ReplicaId> ids;
  if (const auto* deployment = Find(app, name)) {
    for (const auto& replica : deployment->replicas)
      ids.push_back({deployment->id, replica.unique});
  }
  return ids;
}

int Sim::Running(const std::string& app, const std::string& name) const {
  const auto* deployment = Find(app, name);
  if (deployment == nullptr) return 0;
  return static_cast<int>(std::count_if(
      deployment->replicas.begin(), deployment->replicas.end(),
      [](const auto& replica) { return replica.state == control::ReplicaState::kRunning; }));
}

std::string Sim::AppStatus(const std::string& app) const {
  const auto found = controller->state().apps.find(app);
  return found == controller->state().apps.end() ? "" : control::Name(found->second.status.status);
}

void Sim::Load(const std::string& app, double queued, double running, const std::string& router) {
  control::LoadReport report{.router = router, .deployment = {app, "d"}, .queued = queued};
  const auto* deployment = Find(app);
  if (deployment != nullptr && running > 0 && !deployment->replicas.empty()) {
    report.running[deployment->replicas.front().unique] = running;
  }
  controller->OnLoad(report);
  Settle();
}

bool Sim::drained() const {
  const auto& nodes = controller->state().cluster.nodes();
  return drained_ ||
         std::any_of(nodes.begin(), nodes.end(), [](const auto& node) { return node.draining; });
}

void Sim::CheckInvariants() const {
  for (const std::string& what : BrokenNow(*this)) ADD_FAILURE() << what;
}

}  // namespace penstock::scenario
