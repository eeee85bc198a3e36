#include <cstdio>
#include <filesystem>
#include <memory>

#include "app/roles.h"
#include "app/variables.h"
#include "base/environment.h"
#include "base/instance.h"
#include "base/log.h"
#include "base/loop.h"
#include "control/controller.h"
#include "control/policy_links.h"
#include "control/server.h"
#include "control/store.h"
#include "engine/local/local_engine.h"
#include "monitor/endpoint.h"
#include "monitor/exposition.h"

namespace penstock::app {
namespace {

constexpr int kListenerDescriptor = 3;

int Fail(const Status& status) {
  base::LogError("controller_failed", {{"why", status.message()}});
  std::fprintf(stderr, "penstock controller: %s\n", status.message().c_str());
  return 1;
}

control::PeerExtension AgentsOf(engine::local::LocalEngine& engine) {
  return {
      .on_call =
          [&engine](const auto& peer, const std::string& method, const base::Json& params,
                    const base::Peer::Respond& respond) {
            return engine.OnCall(peer, method, params, respond);
          },
      .on_notice = [&engine](const std::string& method,
                             const base::Json& params) { return engine.OnNotice(method, params); },
      .on_closed = [&engine](const base::Peer& peer,
                             const std::string& why) { engine.OnClosed(peer, why); }};
}

}  // namespace

int RunController(const ControllerRoleOptions& role) {
  const base::InstancePaths paths{role.folder};
  if (Status bad =
          base::OpenLog({.path = paths.logs() + "/controller.log", .component = "controller"});
      !bad.ok()) {
    return Fail(bad);
  }
  auto loop = base::Loop::Create();
  if (!loop.ok()) return Fail(loop.status());
  auto store = control::OpenSqliteStore(paths.database(), (*loop)->clock().UnixSeconds());
  if (!store.ok()) return Fail(store.status());
  if (!store->replaced.empty()) {
    base::LogError("state_database_replaced", {{"why", store->replaced}});
  }
  engine::local::LocalEngine engine;
  base::Random random;
  const auto slow_s = SlowStartup_s(base::AllEnv());
  if (!slow_s.ok()) return Fail(slow_s.status());
  control::Server server(
      **loop,
      {.socket = paths.control_socket(), .code_folder = paths.code(), .slow_startup_s = *slow_s},
      AgentsOf(engine));
  const std::string pack = base::GetEnv("RAY_SERVE_USE_PACK_SCHEDULING_STRATEGY",
                                        base::GetEnv("RAY_SERVE_USE_COMPACT_SCHEDULING_STRATEGY"));
  const auto compaction = CompactionTimes(base::AllEnv());
  if (!compaction.ok()) return Fail(compaction.status());
  control::PolicyLinks policies(**loop);
  control::Controller controller(
      {(*loop)->clock(), engine, *store->store, server, random, &policies},
      {.placement =
           control::PolicyFrom(pack, base::GetEnv("RAY_SERVE_HIGH_PRIORITY_CUSTOM_RESOURCES")),
       .compaction = *compaction,
       .sockets = paths.sockets(),
       .store_lost = store->replaced});
  if (Status bad = controller.Recover(); !bad.ok()) return Fail(bad);
  if (Status bad = server.Listen(controller); !bad.ok()) return Fail(bad);
  const monitor::InstanceLabels labels{
      .node_address = role.ip,
      .session_name = std::filesystem::path(role.folder).filename().string(),
      .version = PENSTOCK_VERSION};
  std::unique_ptr<monitor::Endpoint> endpoint;
  if (role.shows_metrics) {
    endpoint = std::make_unique<monitor::Endpoint>(
        **loop, base::UniqueFd(kListenerDescriptor), [&](const auto& show) {
          server.CollectMetrics(
              [&labels, show](const auto& sources) { show(monitor::Exposition(sources, labels)); });
        });
  }
  (*loop)->Run();
  return 0;
}

}  // namespace penstock::app
