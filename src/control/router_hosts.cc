#include "control/router_hosts.h"

#include <array>
#include <cstdint>
#include <cstdio>
#include <utility>

#include "route/hash_ring.h"

namespace penstock::control {
namespace {

using Json = nlohmann::json;

bool IsCustom(const Target& target) {
  return target.spec.request_router.kind == RequestRouterSpec::Kind::kCustom && !target.deleting;
}

}  // namespace

std::string RouterHosts::SocketOf(const DeploymentId& id, const Target& target) const {
  const RequestRouterSpec& router = target.spec.request_router;
  const RuntimeEnv& env = target.spec.replica_resources.runtime_env;
  const Json all = {id.app,
                    id.name,
                    target.launch,
                    target.code_version,
                    router.request_router_class,
                    router.request_router_kwargs,
                    env.env_vars,
                    env.working_dir,
                    env.py_modules};
  std::array<char, 17> name{};
  std::snprintf(name.data(), name.size(), "%016llx",
                static_cast<unsigned long long>(
                    route::HashPoint(all.dump(-1, ' ', false, Json::error_handler_t::replace))));
  return folder_ + "/router_" + name.data() + ".sock";
}

void RouterHosts::Settle(const std::map<DeploymentId, Deployment>& deployments) {
  std::vector<engine::RouterOrder> orders;
  for (const auto& [id, deployment] : deployments) {
    const Target& target = deployment.target;
    if (!IsCustom(target)) continue;
    orders.push_back({.id = id,
                      .socket = SocketOf(id, target),
                      .launch = target.launch,
                      .runtime_env = target.spec.replica_resources.runtime_env,
                      .router_class = target.spec.request_router.request_router_class,
                      .kwargs = target.spec.request_router.request_router_kwargs});
  }
  if (orders == told_) return;
  told_ = std::move(orders);
  if (head_) engine_.RunRouters(*head_, told_);
}

void RouterHosts::OnHeadUp(const NodeId& head) {
  head_ = head;
  engine_.RunRouters(head, told_);
}

void RouterHosts::OnNodeDown(const NodeId& node) {
  if (head_ == node) head_.reset();
}

}  // namespace penstock::control
