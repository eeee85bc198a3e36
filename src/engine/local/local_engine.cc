#include "engine/local/local_engine.h"

#include <utility>
#include <vector>

#include "base/log.h"
#include "engine/local/messages.h"

namespace penstock::engine::local {

using base::Json;
using base::Message;
using base::Peer;

void LocalEngine::Order(const NodeId& node, const std::string& method, Json params) {
  const auto agent = agents_.find(node);
  if (agent == agents_.end()) return;
  agent->second->Call(method, {std::move(params), ""}, [method](const Result<Message>& answer) {
    if (!answer.ok()) {
      base::LogWarning("order_failed", {{"order", method}, {"why", answer.status().message()}});
    }
  });
}

void LocalEngine::Start(const StartOrder& order) {
  Order(order.node, "replica.start", ToJson(order));
}

void LocalEngine::Reconfigure(const ReconfigureOrder& order) {
  Order(order.node, "replica.reconfigure", ToJson(order));
}

void LocalEngine::Stop(const StopOrder& order) { Order(order.node, "replica.stop", ToJson(order)); }

void LocalEngine::StopNode(const NodeId& node) { Order(node, "node.stop", Json::object()); }

void LocalEngine::RunCodeHosts(const NodeId& node, const std::vector<CodeHostOrder>& orders) {
  Json hosts = Json::array();
  for (const CodeHostOrder& order : orders) hosts.push_back(ToJson(order));
  Order(node, "code_hosts.run", {{"hosts", hosts}});
}

void LocalEngine::StartProxy(const NodeId& node, const ProxyOrder& order,
                             std::function<void(Result<std::string>)> done) {
  const auto agent = agents_.find(node);
  if (agent == agents_.end()) {
    return done(Status(Code::kUnavailable, "the node for the proxy is gone"));
  }
  agent->second->Call("proxy.start", {ToJson(order), ""},
                      [done = std::move(done)](const Result<Message>& answer) {
                        if (!answer.ok()) return done(answer.status());
                        done(answer->json.value("address", ""));
                      });
}

void LocalEngine::StopProxy(const NodeId& node, std::function<void(Status)> done) {
  const auto agent = agents_.find(node);
  if (agent == agents_.end()) return done(Status(Code::kUnavailable, "the proxy's node is gone"));
  agent->second->Call(
      "proxy.stop", {Json::object(), ""},
      [done = std::move(done)](const Result<Message>& answer) { done(answer.status()); });
}

bool LocalEngine::OnCall(const std::shared_ptr<Peer>& peer, const std::string& method,
                         const Json& params, const Peer::Respond& respond) {
  if (method != "node.join") return false;
  if (Status bad = Join(peer, params); !bad.ok()) {
    respond(bad);
  } else {
    respond(Message{});
  }
  return true;
}

namespace {

// What a replica holds on one node.
std::vector<resources::Allocation> HeldOn(const NodeId& node, const StartOrder& order) {
  if (order.bundles.empty()) return {order.allocation};
  std::vector<resources::Allocation> held;
  for (const resources::Reservation& bundle : order.bundles) {
    if (bundle.node == node) held.push_back(bundle.allocation);
  }
  return held;
}

}  // namespace

Status LocalEngine::Join(const std::shared_ptr<Peer>& peer, const Json& params) {
  const auto node = NodeSpecFrom(params.value("node", Json()));
  if (!node.ok()) return node.status();
  std::vector<AdoptedReplica> replicas;
  for (const Json& entry : params.value("replicas", Json::array())) {
    auto replica = AdoptedReplicaFrom(entry);
    if (!replica.ok()) return replica.status();
    replicas.push_back(*std::move(replica));
  }
  resources::NodeResources node_resources(*node);
  for (const AdoptedReplica& replica : replicas) {
    for (const resources::Allocation& part : HeldOn(node->id, replica.order)) {
      if (!node_resources.Holds(part)) {
        return InvalidArgument("node.join: " + replica.order.id.ToString() +
                               " holds more than there is on its node");
      }
      node_resources.Take(part);
    }
  }
  const Json proxy_json = params.value("proxy", Json());
  const auto proxy =
      proxy_json.is_null() ? Result<ProxyOrder>(ProxyOrder()) : ProxyOrderFrom(proxy_json);
  if (!proxy.ok()) return proxy.status();
  agents_[node->id] = peer;
  if (!proxy_json.is_null()) listener_->OnProxyRuns(node->id, *proxy);
  listener_->OnNodeUp(*node, replicas);
  return {};
}

bool LocalEngine::OnNotice(const std::string& method, const Json& params) {
  if (method != "replica.event") return false;
  const auto event = ReplicaEventFrom(params);
  if (event.ok()) {
    listener_->OnReplicaEvent(*event);
  } else {
    base::LogError("event_refused", {{"why", event.status().message()}});
  }
  return true;
}

void LocalEngine::OnClosed(const Peer& peer, const std::string& why) {
  for (const auto& [node, agent] : agents_) {
    if (agent.get() != &peer) continue;
    const NodeId gone = node;
    agents_.erase(gone);
    listener_->OnNodeDown(gone, why);
    return;
  }
}

}  // namespace penstock::engine::local
