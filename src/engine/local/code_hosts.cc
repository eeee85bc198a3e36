#include "engine/local/code_hosts.h"

#include <unistd.h>

#include <algorithm>
#include <utility>

#include "base/log.h"

namespace penstock::engine::local {
namespace {

using base::Json;

struct Names {
  const char* kind;    // for people
  const char* module;  // that is run
  const char* code;    // in `launch`: the SHA-256 of its code
  const char* log;     // how the file's name begins
};

const Names& NamesOf(const CodeHostOrder& order) {
  static constexpr Names kRouter{"request router", "penstock._router", "router_code", "router"};
  static constexpr Names kPolicy{"autoscaling policy", "penstock._policy", "policy_code", "policy"};
  return order.kind == CodeHostOrder::Kind::kRequestRouter ? kRouter : kPolicy;
}

// What its process reads at its start.
Json Assignment(const CodeHostOrder& order, const base::InstancePaths& paths) {
  Json assignment = {{"app", order.id.app},
                     {"deployment", order.id.name},
                     {"socket", order.socket},
                     {"import_path", order.import_path},
                     {"kwargs", Json::parse(order.kwargs)},
                     {"sys_path", order.launch.value("sys_path", Json::array())}};
  const char* code = NamesOf(order).code;
  if (order.launch.contains(code)) {
    assignment["code_path"] = paths.code() + "/" + order.launch.at(code).get<std::string>();
  }
  return assignment;
}

}  // namespace

Status CodeHosts::Run(const std::vector<CodeHostOrder>& orders) {
  std::vector<std::string> gone;
  for (const auto& [socket, host] : running_) {
    if (std::ranges::find(orders, socket, &CodeHostOrder::socket) == orders.end()) {
      gone.push_back(socket);
    }
  }
  for (const std::string& socket : gone) Stop(socket);
  Status first;
  for (const CodeHostOrder& order : orders) {
    if (running_.contains(order.socket)) continue;
    Status bad = Start(order);
    if (first.ok()) first = bad;
  }
  return first;
}

Status CodeHosts::Start(const CodeHostOrder& order) {
  // The environment of a replica that was given nothing: the same imports, no devices.
  const StartOrder nothing{.launch = order.launch, .runtime_env = order.runtime_env};
  Variables variables = MakeEnvironment(context_.environment, context_.node, nothing).variables;
  variables["PENSTOCK_INSTANCE"] = context_.paths.folder;
  variables["PENSTOCK_CODE_HOST"] = Assignment(order, context_.paths).dump();
  const std::string folder = order.runtime_env.working_dir.empty() ? order.launch.value("cwd", "")
                                                                   : order.runtime_env.working_dir;
  const Names& names = NamesOf(order);
  auto host = std::make_unique<Supervisor>(
      loop_, std::string(names.kind) + " of " + order.id.ToString(),
      SpawnOptions{.argv = {order.launch.value("python", "python3"), "-m", names.module},
                   .variables = std::move(variables),
                   .folder = folder,
                   .log_path = context_.paths.logs() + "/" + names.log + "_" +
                               FileName(order.id.app) + "_" + FileName(order.id.name) + ".log",
                   .descriptors = {}});
  if (Status bad = host->Start(); !bad.ok()) return bad;
  running_.emplace(order.socket, std::move(host));
  return {};
}

void CodeHosts::Stop(const std::string& socket) {
  auto host = std::move(running_.extract(socket).mapped());
  Supervisor* raw = host.get();
  ending_.emplace(raw, std::move(host));
  raw->Stop([this, raw, socket] {
    if (!running_.contains(socket)) ::unlink(socket.c_str());
    loop_.Dispose(std::shared_ptr<Supervisor>(std::move(ending_.extract(raw).mapped())));
    if (empty() && on_empty_) std::exchange(on_empty_, nullptr)();
  });
}

void CodeHosts::StopAll(std::function<void()> done) {
  if (empty()) return done();
  on_empty_ = std::move(done);
  while (!running_.empty()) Stop(running_.begin()->first);
}

std::vector<int> CodeHosts::pids() const {
  std::vector<int> pids;
  pids.reserve(running_.size() + ending_.size());
  for (const auto& [socket, host] : running_) pids.push_back(host->pid());
  for (const auto& [raw, host] : ending_) pids.push_back(host->pid());
  return pids;
}

}  // namespace penstock::engine::local
