#include "control/snapshot_json.h"

#include <cmath>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "control/state.h"
#include "resources/demand.h"

namespace penstock::control {
namespace {

using Json = nlohmann::json;
using resources::ResourceSet;

Json AmountsJson(const ResourceSet& set) {
  Json json = Json::object();
  for (const auto& [name, amount] : set.amounts()) json[name] = amount.ToDouble();
  return json;
}

// What people asked for: without the resource that stands for max_replicas_per_node.
ResourceSet Shown(const ResourceSet& amounts) {
  ResourceSet shown;
  for (const auto& [name, amount] : amounts.amounts()) {
    if (!name.starts_with(resources::kImplicitPrefix)) shown.Set(name, amount);
  }
  return shown;
}

Json DevicesJson(const resources::Allocation& allocation, const resources::NodeSpec* node) {
  Json json = Json::object();
  for (const auto& [resource, shares] : allocation.devices) {
    for (const auto& share : shares) {
      std::string id = std::to_string(share.device);
      if (node != nullptr) {
        const auto ids = node->device_ids.find(resource);
        if (ids != node->device_ids.end() && share.device < ids->second.size()) {
          id = ids->second[share.device];
        }
      }
      json[resource].push_back({{"id", id}, {"share", share.share.ToDouble()}});
    }
  }
  return json;
}

Json ReplicaJson(const Replica& replica, const State& state) {
  Json json = {{"replica_id", replica.unique},
               {"state", Name(replica.state)},
               {"rank", replica.rank.global},
               {"node_rank", replica.rank.node},
               {"local_rank", replica.rank.local},
               {"node_id", nullptr},
               {"pid", replica.facts.value("pid", Json())},
               {"log_file_path", replica.facts.value("log", Json())},
               {"start_time_s", replica.started_unix},
               {"startup", replica.facts.value("startup", Json::object())},
               {"env", replica.facts.value("env", Json::object())},
               {"health", replica.facts.value("health", Json{{"state", "healthy"}})}};
  if (!replica.gang.empty()) {
    json["gang"] = {{"id", replica.gang}, {"rank", replica.gang_rank}};
  }
  if (replica.placed) {
    const auto* node = state.cluster.Find(replica.node);
    json["node_id"] = replica.node;
    json["assigned_resources"] = AmountsJson(Shown(replica.allocation.amounts));
    json["devices"] =
        DevicesJson(replica.allocation, node == nullptr ? nullptr : &node->resources.spec());
    for (const resources::Reservation& bundle : replica.bundles) {
      json["placement_group"].push_back(
          {{"node_id", bundle.node}, {"resources", AmountsJson(bundle.allocation.amounts)}});
    }
  } else {
    json["pending"] = {{"code", replica.pending_code}, {"reason", replica.pending_text}};
  }
  return json;
}

// "30", "0.5": as Python shows what was set.
std::string SecondsText(double seconds) {
  const bool whole = std::trunc(seconds) == seconds && std::abs(seconds) < 1e15;
  return whole ? std::to_string(static_cast<std::int64_t>(seconds)) : Json(seconds).dump();
}

// {"CPU": 1, "GPU": 0.5}: Ray shows what is asked for as it was written, what there is as floats.
std::string AskedText(const ResourceSet& set) {
  std::string text;
  for (const auto& [name, amount] : set.amounts()) {
    text += (text.empty() ? "" : ", ") + Json(name).dump() + ": " + amount.ToString();
  }
  return "{" + text + "}";
}

// Ray Serve's two messages about replicas that are slow to start, ours about what they wait for.
class StartupMessage {
 public:
  StartupMessage(const Deployment& deployment, const State& state, const StatusOptions& options)
      : deployment_(deployment), state_(state), options_(options) {
    for (const Replica& replica : deployment.replicas) {
      if (replica.state != ReplicaState::kStarting) continue;
      const bool slow = options.now - replica.since >= FromSeconds(options.slow_startup_s);
      if (replica.placed) {
        initialising_ += slow ? 1 : 0;
      } else {
        ++waiting_;
        slow_waiting_ += slow ? 1 : 0;
        if (reason_.empty()) reason_ = replica.pending_text;
      }
    }
  }

  // "" when there is nothing to say.
  std::string Text() const {
    const std::string who =
        "Deployment '" + deployment_.id.name + "' in application '" + deployment_.id.app + "' has ";
    if (slow_waiting_ > 0) {
      return who + std::to_string(slow_waiting_) + " replicas that have taken more than " +
             SecondsText(options_.slow_startup_s) +
             "s to be scheduled. This may be due to waiting for the cluster to auto-scale or for a "
             "runtime environment to be installed. Resources required for each replica: " +
             AskedText(Required()) + ", total resources available: " + Available().ToString() +
             ". Use `ray status` for more details. " + reason_;
    }
    if (waiting_ > 0) {
      return who + std::to_string(waiting_) + " replicas that wait for resources. Resources " +
             "required for each replica: " + AskedText(Required()) + ". " + reason_;
    }
    if (initialising_ == 0) return "";
    return who + std::to_string(initialising_) + " replicas that have taken more than " +
           SecondsText(options_.slow_startup_s) +
           "s to initialize.\nThis may be caused by a slow __init__ or reconfigure method.";
  }

 private:
  ResourceSet Required() const { return Shown(DemandOf(deployment_).amounts); }

  ResourceSet Available() const {
    const ResourceSet free = state_.cluster.Free();
    const ResourceSet required = Required();
    ResourceSet available;
    for (const auto& [name, amount] : required.amounts()) available.Set(name, free.Get(name));
    return available;
  }

  const Deployment& deployment_;
  const State& state_;
  const StatusOptions& options_;
  int waiting_ = 0;
  int slow_waiting_ = 0;
  int initialising_ = 0;
  std::string reason_;
};

std::string MessageOf(const Deployment& deployment, const State& state,
                      const StatusOptions& options) {
  const DeploymentStatus status = deployment.status.status;
  const bool failed =
      status == DeploymentStatus::kUnhealthy || status == DeploymentStatus::kDeployFailed;
  if (failed || deployment.target.deleting || deployment.start_failures > 0) {
    return deployment.status.message;
  }
  const std::string startup = StartupMessage(deployment, state, options).Text();
  return startup.empty() ? deployment.status.message : startup;
}

Json DeploymentJson(const Deployment& deployment, const State& state,
                    const StatusOptions& options) {
  std::map<std::string, int> states;
  Json replicas = Json::array();
  for (const Replica& replica : deployment.replicas) {
    ++states[Name(replica.state)];
    replicas.push_back(ReplicaJson(replica, state));
  }
  return {{"name", deployment.id.name},
          {"status", Name(deployment.status.status)},
          {"status_trigger", Name(deployment.status.trigger)},
          {"message", MessageOf(deployment, state, options)},
          {"replica_states", states},
          {"target_num_replicas", deployment.target_replicas},
          {"required_resources", AmountsJson(Shown(DemandOf(deployment).amounts))},
          {"deployment_config", deployment.target.options},
          {"replicas", replicas}};
}

Json AppJson(const App& app, const State& state, const StatusOptions& options) {
  Json deployments = Json::object();
  for (auto it = state.deployments.lower_bound({app.name, ""});
       it != state.deployments.end() && it->first.app == app.name; ++it) {
    deployments[it->first.name] = DeploymentJson(it->second, state, options);
  }
  return {{"name", app.name},
          {"status", Name(app.status.status)},
          {"message", app.status.message},
          {"last_deployed_time_s", app.deployed_unix},
          {"route_prefix", app.route_prefix ? Json(*app.route_prefix) : Json()},
          {"docs_path", app.docs_path.empty() ? Json() : Json(app.docs_path)},
          {"ingress", app.ingress},
          {"external_scaler_enabled", app.external_scaler},
          {"deployments", deployments}};
}

Json NodeJson(const placement::ClusterNode& node) {
  const auto& spec = node.resources.spec();
  Json devices = Json::object();
  for (const auto& [name, total] : spec.total.amounts()) {
    for (const Quantity share : node.resources.FreeShares(name)) {
      devices[name].push_back(share.ToDouble());
    }
  }
  Json labels = Json::object();
  for (const auto& [key, value] : spec.labels) labels[key] = value;
  return {{"id", spec.id},
          {"name", spec.name},
          {"ip", spec.ip},
          {"is_head", spec.is_head},
          {"alive", node.alive},
          {"draining", node.draining},
          {"labels", labels},
          {"total", AmountsJson(spec.total)},
          {"free", AmountsJson(node.resources.FreeAmounts())},
          {"devices", devices}};
}

}  // namespace

Json ServeStatusJson(const Controller& controller, const StatusOptions& options) {
  Json proxies = Json::object();
  Json addresses = Json::object();
  const auto all = controller.proxies();
  for (const auto& [node, proxy] : all) {
    proxies[node] = proxy.healthy ? "HEALTHY" : "STARTING";
    if (!proxy.address.empty()) addresses[node] = proxy.address;
  }
  Json apps = Json::object();
  for (const auto& [name, app] : controller.state().apps) {
    apps[name] = AppJson(app, controller.state(), options);
  }
  return {{"proxies", proxies},
          {"proxy_addresses", addresses},
          {"applications", apps},
          {"notice", controller.notice()},
          {"target_capacity", nullptr}};
}

Json ResourcesJson(const Controller& controller) {
  Json nodes = Json::array();
  for (const auto& node : controller.state().cluster.nodes()) nodes.push_back(NodeJson(node));
  return {{"total", AmountsJson(controller.state().cluster.Total())},
          {"available", AmountsJson(controller.state().cluster.Free())},
          {"nodes", nodes}};
}

}  // namespace penstock::control
