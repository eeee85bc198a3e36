#include "engine/local/router_processes.h"

#include <unistd.h>

#include <algorithm>
#include <utility>

#include "base/log.h"

namespace penstock::engine::local {
namespace {

using base::Json;

// What its process reads at its start.
Json Assignment(const RouterOrder& order, const base::InstancePaths& paths) {
  Json assignment = {{"app", order.id.app},
                     {"deployment", order.id.name},
                     {"socket", order.socket},
                     {"router_class", order.router_class},
                     {"kwargs", Json::parse(order.kwargs)},
                     {"sys_path", order.launch.value("sys_path", Json::array())}};
  if (order.launch.contains("router_code")) {
    assignment["code_path"] =
        paths.code() + "/" + order.launch.at("router_code").get<std::string>();
  }
  return assignment;
}

}  // namespace

Status RouterProcesses::Run(const std::vector<RouterOrder>& orders) {
  std::vector<std::string> gone;
  for (const auto& [socket, router] : running_) {
    if (std::ranges::find(orders, socket, &RouterOrder::socket) == orders.end()) {
      gone.push_back(socket);
    }
  }
  for (const std::string& socket : gone) Stop(socket);
  Status first;
  for (const RouterOrder& order : orders) {
    if (running_.contains(order.socket)) continue;
    Status bad = Start(order);
    if (first.ok()) first = bad;
  }
  return first;
}

Status RouterProcesses::Start(const RouterOrder& order) {
  // The environment of a replica that was given nothing: the same imports, no devices.
  const StartOrder nothing{.launch = order.launch, .runtime_env = order.runtime_env};
  Variables variables = MakeEnvironment(context_.environment, context_.node, nothing).variables;
  variables["PENSTOCK_INSTANCE"] = context_.paths.folder;
  variables["PENSTOCK_ROUTER"] = Assignment(order, context_.paths).dump();
  const std::string folder = order.runtime_env.working_dir.empty() ? order.launch.value("cwd", "")
                                                                   : order.runtime_env.working_dir;
  auto router = std::make_unique<Supervisor>(
      loop_, "request router of " + order.id.ToString(),
      SpawnOptions{.argv = {order.launch.value("python", "python3"), "-m", "penstock._router"},
                   .variables = std::move(variables),
                   .folder = folder,
                   .log_path = context_.paths.logs() + "/router_" + FileName(order.id.app) + "_" +
                               FileName(order.id.name) + ".log",
                   .descriptors = {}});
  if (Status bad = router->Start(); !bad.ok()) return bad;
  running_.emplace(order.socket, std::move(router));
  return {};
}

void RouterProcesses::Stop(const std::string& socket) {
  auto router = std::move(running_.extract(socket).mapped());
  Supervisor* raw = router.get();
  ending_.emplace(raw, std::move(router));
  raw->Stop([this, raw, socket] {
    if (!running_.contains(socket)) ::unlink(socket.c_str());
    loop_.Dispose(std::shared_ptr<Supervisor>(std::move(ending_.extract(raw).mapped())));
    if (empty() && on_empty_) std::exchange(on_empty_, nullptr)();
  });
}

void RouterProcesses::StopAll(std::function<void()> done) {
  if (empty()) return done();
  on_empty_ = std::move(done);
  while (!running_.empty()) Stop(running_.begin()->first);
}

std::vector<int> RouterProcesses::pids() const {
  std::vector<int> pids;
  pids.reserve(running_.size() + ending_.size());
  for (const auto& [socket, router] : running_) pids.push_back(router->pid());
  for (const auto& [raw, router] : ending_) pids.push_back(router->pid());
  return pids;
}

}  // namespace penstock::engine::local
