#include <signal.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>

#include <cstdio>
#include <memory>
#include <utility>

#include "app/roles.h"
#include "base/control_link.h"
#include "base/environment.h"
#include "base/file.h"
#include "base/instance.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/metric_source.h"
#include "config/grpc_options.h"
#include "config/http_options.h"
#include "config/nested_options.h"
#include "engine/local/agent.h"
#include "proxy/server.h"
#include "proxy/tls.h"
#include "route/metrics.h"
#include "route/router.h"
#include "route/subscription.h"

namespace penstock::app {
namespace {

// A controller that takes longer to say what there is, is not waited for.
constexpr Duration kRouteWait = std::chrono::seconds(5);

constexpr int kListenerDescriptor = 3;
constexpr int kGrpcDescriptor = 4;

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

// As names of headers arrive.
std::string Lower(std::string text) {
  for (char& c : text) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return text;
}

proxy::TlsOptions TlsOptionsFrom(const config::HttpOptions& http) {
  return {.keyfile = http.ssl_keyfile,
          .certfile = http.ssl_certfile,
          .keyfile_password = http.ssl_keyfile_password,
          .ca_certs = http.ssl_ca_certs};
}

// Every client is a descriptor: as many as the machine lets us have.
void RaiseDescriptorLimit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == limit.rlim_max) return;
  limit.rlim_cur = limit.rlim_max;
  if (::setrlimit(RLIMIT_NOFILE, &limit) != 0) base::LogWarning("descriptor_limit_not_raised");
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
          .body_timeout = FromSeconds(http.request_body_timeout_s),
          .max_body_bytes = http.max_body_bytes,
          .access_log = paths.logs() + "/proxy_access.log",
          .node = ip,
          .session_header = Lower(base::GetEnv("RAY_SERVE_SESSION_ID_HEADER_KEY", "x-session-id"))};
}

// Ends the loop on SIGTERM: clients that share a connection are told, the log is written out.
class Termination final : public base::FdHandler {
 public:
  explicit Termination(base::Loop& loop) : loop_(loop) {
    sigset_t only{};
    ::sigemptyset(&only);
    ::sigaddset(&only, SIGTERM);
    ::sigprocmask(SIG_BLOCK, &only, nullptr);
    signals_ = base::UniqueFd(::signalfd(-1, &only, SFD_CLOEXEC | SFD_NONBLOCK));
    loop_.Watch(signals_.get(), EPOLLIN, *this);
  }
  ~Termination() override { loop_.Unwatch(signals_.get(), *this); }

  void OnEvents(std::uint32_t) override { loop_.Stop(); }

 private:
  base::Loop& loop_;
  base::UniqueFd signals_;
};

// What to serve over gRPC; nullopt for nothing.
Result<std::optional<proxy::GrpcServing>> GrpcServingFrom(const ProxyRoleOptions& role,
                                                          const base::InstancePaths& paths) {
  if (role.grpc.empty()) return std::optional<proxy::GrpcServing>();
  const auto options = config::ParseGrpcOptions(
      nlohmann::json::parse(role.grpc, nullptr, /*allow_exceptions=*/false));
  if (!options.ok()) return options.status();
  const auto text = base::ReadFile(paths.code() + "/" + options->directory);
  if (!text.ok()) return text.status();
  auto directory = proxy::GrpcDirectory::Parse(*text);
  if (!directory.ok()) return directory.status();
  return std::optional<proxy::GrpcServing>({.directory = *std::move(directory),
                                            .request_timeout_s = options->request_timeout_s,
                                            .reflection = options->enable_reflection});
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
  auto grpc = GrpcServingFrom(role, paths);
  auto loop = base::Loop::Create();
  for (const Status& bad : {logging, tls.status(), grpc.status(), loop.status()}) {
    if (bad.ok()) continue;
    std::fprintf(stderr, "penstock proxy: %s\n", bad.message().c_str());
    return 1;
  }
  RaiseDescriptorLimit();
  route::Router router(**loop);
  router.SetNode(role.node);
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
             if (router.informed()) serving->OnInformed();
           },
       .on_call =
           [&](const std::string& method, const base::Message&,
               const base::Peer::Respond& respond) { OnCall(*serving, router, method, respond); },
       .on_down = [] { base::LogWarning("controller_gone"); }});
  route::Subscription subscription(**loop, link, router, route::Subscription::Scope::kEverything,
                                   role.node);
  subscribed = &subscription;
  proxy::ServerOptions options = ServerOptionsFrom(*http, paths, role.ip);
  options.tls = *tls;
  options.route_wait = kRouteWait;
  proxy::Server server(**loop, base::UniqueFd(kListenerDescriptor), router, std::move(options));
  serving = &server;
  const Termination termination(**loop);
  if (*grpc) server.ListenGrpc(base::UniqueFd(kGrpcDescriptor), **std::move(grpc));
  (*loop)->Run();
  return 0;
}

}  // namespace penstock::app
