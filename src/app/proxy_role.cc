#include <cstdio>
#include <memory>
#include <utility>

#include "app/roles.h"
#include "base/control_link.h"
#include "base/environment.h"
#include "base/instance.h"
#include "base/log.h"
#include "base/loop.h"
#include "config/http_options.h"
#include "engine/local/agent.h"
#include "proxy/server.h"
#include "proxy/tls.h"
#include "route/router.h"
#include "route/subscription.h"

namespace penstock::app {
namespace {

constexpr int kListenerDescriptor = 3;

proxy::TlsOptions TlsOptionsFrom(const config::HttpOptions& http) {
  return {.keyfile = http.ssl_keyfile,
          .certfile = http.ssl_certfile,
          .keyfile_password = http.ssl_keyfile_password,
          .ca_certs = http.ssl_ca_certs};
}

// nullptr for a proxy without TLS.
Result<std::shared_ptr<const proxy::TlsContext>> LoadTls(const config::HttpOptions& http) {
  const proxy::TlsOptions options = TlsOptionsFrom(http);
  if (!options.enabled()) return std::shared_ptr<const proxy::TlsContext>();
  return proxy::TlsContext::Load(options, proxy::kProtocols);
}

proxy::ServerOptions ServerOptionsFrom(const config::HttpOptions& http,
                                       const base::InstancePaths& paths, const std::string& ip) {
  return {.root_path = http.root_path,
          .request_timeout_s = http.request_timeout_s,
          .keep_alive_timeout = FromSeconds(http.keep_alive_timeout_s),
          .head_timeout = FromSeconds(http.request_head_timeout_s),
          .max_body_bytes = http.max_body_bytes,
          .access_log = paths.logs() + "/proxy_access.log",
          .node = ip};
}

}  // namespace

Status CheckProxy(const nlohmann::json& options) {
  const auto http = config::ParseHttpOptions(options);
  return http.ok() ? LoadTls(*http).status() : http.status();
}

int RunProxy(const ProxyRoleOptions& role) {
  const base::InstancePaths paths{role.folder};
  const Status logging =
      base::OpenLog({.path = paths.logs() + "/proxy.log", .component = "proxy", .id = role.ip});
  const auto http = config::ParseHttpOptions(nlohmann::json::parse(
      base::GetEnv(engine::local::kProxyOptions), nullptr, /*allow_exceptions=*/false));
  const auto tls = http.ok() ? LoadTls(*http) : http.status();
  auto loop = base::Loop::Create();
  for (const Status& bad : {logging, tls.status(), loop.status()}) {
    if (bad.ok()) continue;
    std::fprintf(stderr, "penstock proxy: %s\n", bad.message().c_str());
    return 1;
  }
  route::Router router(**loop);
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
  proxy::ServerOptions options = ServerOptionsFrom(*http, paths, role.ip);
  options.tls = *tls;
  const proxy::Server server(**loop, base::UniqueFd(kListenerDescriptor), router,
                             std::move(options));
  (*loop)->Run();
  return 0;
}

}  // namespace penstock::app
