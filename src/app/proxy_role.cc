#include <cstdio>

#include "app/roles.h"
#include "base/control_link.h"
#include "base/file.h"
#include "base/instance.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/metric_source.h"
#include "config/http_options.h"
#include "config/nested_options.h"
#include "proxy/server.h"
#include "route/metrics.h"
#include "route/router.h"
#include "route/subscription.h"

namespace penstock::app {
namespace {

constexpr int kListenerDescriptor = 3;

// Python's numbers, as logging_config has them.
base::LogLevel LevelFrom(int number) {
  if (number <= 10) return base::LogLevel::kDebug;
  if (number <= 20) return base::LogLevel::kInfo;
  return number <= 30 ? base::LogLevel::kWarning : base::LogLevel::kError;
}

// The controller says how to log; `logging_config` as serve.start got it, or null.
void SetLogging(proxy::Server& server, const nlohmann::json& logging_config,
                const base::InstancePaths& paths) {
  const auto logging =
      config::ParseLogging(logging_config.is_null() ? nlohmann::json::object() : logging_config);
  if (!logging.ok())
    return base::LogError("logging_refused", {{"why", logging.status().message()}});
  base::SetLogLevel(LevelFrom(logging->log_level));
  const std::string folder = logging->logs_dir.empty() ? paths.logs() : logging->logs_dir;
  const bool wanted = logging->enable_access_log && logging->log_level <= 20;
  Status status = base::MakeDirs(folder);
  if (status.ok()) {
    status = server.access_log().SetFile(wanted ? folder + "/proxy_access.log" : "", logging->json);
  }
  if (!status.ok()) base::LogError("no_access_log", {{"why", status.message()}});
}

void OnCall(const proxy::Server& server, const route::Router& router, const std::string& method,
            const base::Peer::Respond& respond) {
  if (method != "metrics.collect") {
    return respond(Status(Code::kUnimplemented, "a proxy has no '" + method + "'"));
  }
  auto families = server.Metrics();
  for (auto& family : route::RouterMetrics(router, "proxy")) families.push_back(std::move(family));
  respond(base::OneSource("proxy", "proxy", families));
}

proxy::ServerOptions ServerOptionsFrom(const config::HttpOptions& http, const nlohmann::json& raw,
                                       const base::InstancePaths& paths, const std::string& ip) {
  proxy::ServerOptions options{.root_path = http.root_path,
                               .request_timeout_s = http.request_timeout_s,
                               .keep_alive_timeout = FromSeconds(http.keep_alive_timeout_s),
                               .access_log = paths.logs() + "/proxy_access.log",
                               .node = ip};
  options.max_body_bytes = raw.value("max_body_bytes", options.max_body_bytes);
  return options;
}

}  // namespace

int RunProxy(const ProxyRoleOptions& role) {
  const base::InstancePaths paths{role.folder};
  const Status logging =
      base::OpenLog({.path = paths.logs() + "/proxy.log", .component = "proxy", .id = role.ip});
  const auto raw = nlohmann::json::parse(role.options, nullptr, /*allow_exceptions=*/false);
  const auto http = config::ParseHttpOptions(raw);
  auto loop = base::Loop::Create();
  for (const Status& bad : {logging, http.status(), loop.status()}) {
    if (bad.ok()) continue;
    std::fprintf(stderr, "penstock proxy: %s\n", bad.message().c_str());
    return 1;
  }
  route::Router router(**loop);
  route::Subscription* subscribed = nullptr;
  proxy::Server* serving = nullptr;
  base::ControlLink link(
      **loop, paths.control_socket(),
      {.on_up =
           [&] {
             subscribed->OnUp();
             link.Notify("metrics.offer", {});
           },
       .on_notice =
           [&](const std::string& method, const base::Message& params) {
             if (method == "logging") {
               return SetLogging(*serving, params.json.at("logging_config"), paths);
             }
             subscribed->OnNotice(method, params.json);
           },
       .on_call =
           [&](const std::string& method, const base::Message&,
               const base::Peer::Respond& respond) { OnCall(*serving, router, method, respond); },
       .on_down = [] { base::LogWarning("controller_gone"); }});
  route::Subscription subscription(**loop, link, router, route::Subscription::Scope::kEverything,
                                   role.node);
  subscribed = &subscription;
  proxy::Server server(**loop, base::UniqueFd(kListenerDescriptor), router,
                       ServerOptionsFrom(*http, raw, paths, role.ip));
  serving = &server;
  (*loop)->Run();
  return 0;
}

}  // namespace penstock::app
