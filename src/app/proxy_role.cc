#include <cstdio>

#include "app/roles.h"
#include "base/control_link.h"
#include "base/environment.h"
#include "base/instance.h"
#include "base/log.h"
#include "base/loop.h"
#include "config/http_options.h"
#include "proxy/server.h"
#include "route/router.h"
#include "route/subscription.h"

namespace penstock::app {
namespace {

constexpr int kListenerDescriptor = 3;

// As names of headers arrive.
std::string Lower(std::string text) {
  for (char& c : text) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return text;
}

proxy::ServerOptions ServerOptionsFrom(const config::HttpOptions& http, const nlohmann::json& raw,
                                       const base::InstancePaths& paths, const std::string& ip) {
  proxy::ServerOptions options{.root_path = http.root_path,
                               .request_timeout_s = http.request_timeout_s,
                               .keep_alive_timeout = FromSeconds(http.keep_alive_timeout_s),
                               .access_log = paths.logs() + "/proxy_access.log",
                               .node = ip};
  options.session_header = Lower(base::GetEnv("RAY_SERVE_SESSION_ID_HEADER_KEY", "x-session-id"));
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
  router.SetNode(role.node);
  route::Subscription* subscribed = nullptr;
  base::ControlLink link(
      **loop, paths.control_socket(),
      {.on_up = [&] { subscribed->OnUp(); },
       .on_notice = [&](const std::string& method,
                        const base::Message& params) { subscribed->OnNotice(method, params.json); },
       .on_call = {},
       .on_down = [] { base::LogWarning("controller_gone"); }});
  route::Subscription subscription(**loop, link, router, route::Subscription::Scope::kEverything,
                                   role.node);
  subscribed = &subscription;
  const proxy::Server server(**loop, base::UniqueFd(kListenerDescriptor), router,
                             ServerOptionsFrom(*http, raw, paths, role.ip));
  (*loop)->Run();
  return 0;
}

}  // namespace penstock::app
