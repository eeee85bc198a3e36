#include "scenario/sim.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace penstock::scenario {

using Kind = engine::ReplicaEvent::Kind;
using nlohmann::json;

// ---- engine ---------------------------------------------------------------------------------

void SimEngine::Tell(const ReplicaId& id, Kind kind, const std::string& message) {
  json facts = json::object();
  if (kind == Kind::kReady) facts["socket"] = "/sim/" + id.unique;
  listener_->OnReplicaEvent({.kind = kind, .id = id, .message = message, .facts = facts});
}

void SimEngine::Start(const engine::StartOrder& order) {
  ++starts;
  replicas[order.id] = {.order = order};
  const ReplicaId id = order.id;
  const Behaviour behaviour = behaviours[id.deployment.name];
  agenda_.At(clock_.now + std::chrono::milliseconds(1), [this, id] {
    if (replicas.contains(id)) Tell(id, Kind::kSpawned);
  });
  agenda_.At(clock_.now + behaviour.start, [this, id, error = behaviour.start_error] {
    const auto found = replicas.find(id);
    if (found == replicas.end() || found->second.stopping) return;
    if (!error.empty()) return Tell(id, Kind::kStartFailed, error);
    found->second.ready = true;
    Tell(id, Kind::kReady);
  });
}

void SimEngine::Reconfigure(const engine::ReconfigureOrder& order) {
  reconfigured.push_back(order);
  if (const auto found = replicas.find(order.id); found != replicas.end()) {
    found->second.order.options = order.options;
  }
  const std::string error = behaviours[order.id.deployment.name].reconfigure_error;
  agenda_.At(clock_.now + std::chrono::milliseconds(5), [this, id = order.id, error] {
    if (replicas.contains(id)) Tell(id, Kind::kReconfigured, error);
  });
}

void SimEngine::Stop(const engine::StopOrder& order) {
  const auto found = replicas.find(order.id);
  if (found == replicas.end()) return Tell(order.id, Kind::kStopped, "unknown");
  found->second.stopping = true;
  const Duration drain = behaviours[order.id.deployment.name].drain;
  agenda_.At(clock_.now + std::min(drain, order.grace), [this, id = order.id] { Finish(id); });
}

void SimEngine::Finish(const ReplicaId& id) {
  if (replicas.erase(id) > 0) Tell(id, Kind::kStopped, "stopped");
}

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
  listener_->OnNodeUp(node, adopted);
}

void SimEngine::KillNode(const NodeId& node) {
  std::erase_if(replicas, [&](const auto& entry) { return entry.second.order.node == node; });
  listener_->OnNodeDown(node, "killed");
}

void SimEngine::Crash(const ReplicaId& id, const std::string& cause) {
  if (replicas.erase(id) > 0) Tell(id, Kind::kStopped, cause);
}

void SimEngine::FailCheck(const ReplicaId& id) {
  Tell(id, Kind::kUnhealthy, "check_health raised");
}
void SimEngine::PassCheck(const ReplicaId& id) { Tell(id, Kind::kHealthy); }

std::vector<engine::AdoptedReplica> SimEngine::Survivors(const NodeId& node) const {
  std::vector<engine::AdoptedReplica> survivors;
  for (const auto& [id, replica] : replicas) {
    if (replica.order.node != node) continue;
    survivors.push_back({.order = replica.order,
                         .ready = replica.ready,
                         .stopping = replica.stopping,
                         .facts = {{"socket", "/sim/" + id.unique}}});
  }
  return survivors;
}

// ---- routers --------------------------------------------------------------------------------

void SimRouters::Publish(control::RouterId router, const route::RouteUpdate& update) {
  told[router] = update.epoch;
  if (router == 1) {
    if (update.full) table.clear();
    for (const auto& deployment : update.deployments) table[deployment.id] = deployment;
    for (const auto& id : update.removed) table.erase(id);
    if (update.http) http = *update.http;
  }
  if (silent) return;
  agenda_.At(clock_.now + delay, [this, router, epoch = update.epoch] {
    if (controller != nullptr) controller->OnAcknowledge(router, epoch);
  });
}

// ---- the instance ---------------------------------------------------------------------------

Sim::Sim(std::uint64_t seed) : random(seed) { StartController(); }

void Sim::StartController() {
  controller = std::make_unique<control::Controller>(
      control::Controller::Ports{clock, engine, store, routers, random},
      control::ControllerOptions{});
  routers.controller = controller.get();
  EXPECT_TRUE(controller->Recover().ok());
  controller->OnSubscribe(1, "node0", /*everything=*/true, {});
  controller->Settle();
}

void Sim::RestartController() {
  ReplaceController();
  for (const auto& node : specs_) engine.AddNode(node, engine.Survivors(node.id));
  controller->Settle();
}

void Sim::ReplaceController() {
  routers.controller = nullptr;
  StartController();
}

void Sim::Rejoin(const NodeId& id) {
  for (const auto& node : specs_) {
    if (node.id == id) engine.AddNode(node, engine.Survivors(id));
  }
  controller->Settle();
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
  controller->Settle();
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
  controller->Settle();
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
      controller->Settle();
    }
    controller->Settle();
    CheckInvariants();
  }
  clock.now = end;
  controller->Settle();
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
  controller->Settle();
}

void Sim::CheckInvariants() const {
  // What the books say is taken is what the replicas hold: nothing twice, nothing forgotten.
  std::map<NodeId, resources::ResourceSet> held;
  std::map<std::tuple<NodeId, std::string, std::size_t>, Quantity> shares;
  for (const auto& [id, deployment] : controller->state().deployments) {
    for (const auto& replica : deployment.replicas) {
      if (!replica.placed) continue;
      held[replica.node].Add(replica.allocation.amounts);
      for (const auto& [resource, given] : replica.allocation.devices) {
        for (const auto& share : given)
          shares[{replica.node, resource, share.device}] += share.share;
      }
    }
  }
  for (const auto& [device, share] : shares) ASSERT_LE(share, kOneUnit) << std::get<0>(device);
  for (const auto& node : controller->state().cluster.nodes()) {
    const auto& spec = node.resources.spec();
    for (const auto& [resource, total] : spec.total.amounts()) {
      ASSERT_LE(held[spec.id].Get(resource) + node.resources.Free(resource), total) << resource;
    }
  }
  // Nobody is routed to a replica that is not there; a new controller has yet to hear of them.
  if (controller->Recovering()) return;
  for (const auto& [id, route] : routers.table) {
    for (const auto& replica : route.replicas) {
      const auto found = engine.replicas.find({id, replica.id});
      ASSERT_TRUE(found != engine.replicas.end()) << replica.id;
    }
  }
}

}  // namespace penstock::scenario
