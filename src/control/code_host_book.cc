#include "control/code_host_book.h"

#include <array>
#include <cstdint>
#include <cstdio>
#include <utility>

#include "route/hash_ring.h"

namespace penstock::control {
namespace {

using Json = nlohmann::json;
using Kind = engine::CodeHostOrder::Kind;

std::string SocketFor(const std::string& folder, const engine::CodeHostOrder& order,
                      const std::string& code_version) {
  const RuntimeEnv& env = order.runtime_env;
  const Json all = {order.id.app, order.id.name, order.launch,    code_version,  order.import_path,
                    order.kwargs, env.env_vars,  env.working_dir, env.py_modules};
  std::array<char, 17> name{};
  std::snprintf(name.data(), name.size(), "%016llx",
                static_cast<unsigned long long>(
                    route::HashPoint(all.dump(-1, ' ', false, Json::error_handler_t::replace))));
  const char* what = order.kind == Kind::kRequestRouter ? "/router_" : "/policy_";
  return folder + what + name.data() + ".sock";
}

}  // namespace

std::vector<engine::CodeHostOrder> CodeHostBook::HostsOf(const DeploymentId& id,
                                                         const Target& target) const {
  std::vector<engine::CodeHostOrder> hosts;
  if (target.deleting) return hosts;
  const auto add = [&](Kind kind, const std::string& import_path, const std::string& kwargs) {
    hosts.push_back({.kind = kind,
                     .id = id,
                     .launch = target.launch,
                     .runtime_env = target.spec.replica_resources.runtime_env,
                     .import_path = import_path,
                     .kwargs = kwargs});
    hosts.back().socket = SocketFor(folder_, hosts.back(), target.code_version);
  };
  const RequestRouterSpec& router = target.spec.request_router;
  if (router.kind == RequestRouterSpec::Kind::kCustom) {
    add(Kind::kRequestRouter, router.request_router_class, router.request_router_kwargs);
  }
  const auto& autoscaling = target.spec.autoscaling;
  if (autoscaling && autoscaling->policy) {
    add(Kind::kAutoscalingPolicy, autoscaling->policy->policy_function,
        autoscaling->policy->policy_kwargs);
  }
  return hosts;
}

std::string CodeHostBook::SocketOf(const DeploymentId& id, const Target& target, Kind kind) const {
  for (const engine::CodeHostOrder& host : HostsOf(id, target)) {
    if (host.kind == kind) return host.socket;
  }
  return "";
}

void CodeHostBook::Settle(const std::map<DeploymentId, Deployment>& deployments,
                          const std::set<DeploymentId>& changed) {
  bool news = false;
  for (const DeploymentId& id : changed) {
    const auto deployment = deployments.find(id);
    auto hosts = deployment == deployments.end() ? std::vector<engine::CodeHostOrder>()
                                                 : HostsOf(id, deployment->second.target);
    const auto before = hosts_.find(id);
    if (before == hosts_.end() ? hosts.empty() : before->second == hosts) continue;
    news = true;
    if (hosts.empty()) {
      hosts_.erase(before);
    } else {
      hosts_[id] = std::move(hosts);
    }
  }
  if (news && head_) Tell();
}

void CodeHostBook::Tell() {
  std::vector<engine::CodeHostOrder> orders;
  for (const auto& [id, hosts] : hosts_) orders.insert(orders.end(), hosts.begin(), hosts.end());
  engine_.RunCodeHosts(*head_, orders);
}

void CodeHostBook::OnHeadUp(const NodeId& head) {
  head_ = head;
  Tell();
}

void CodeHostBook::OnNodeDown(const NodeId& node) {
  if (head_ == node) head_.reset();
}

}  // namespace penstock::control
