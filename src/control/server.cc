#include "control/server.h"

#include <sys/epoll.h>

#include <algorithm>
#include <utility>

#include "base/file.h"
#include "base/log.h"
#include "base/socket.h"
#include "config/autoscaling_options.h"
#include "config/fields.h"
#include "control/app_request.h"
#include "control/metrics.h"
#include "control/scaling_json.h"
#include "control/snapshot_json.h"

namespace penstock::control {
namespace {

using base::Json;
using base::Message;
using base::Peer;

constexpr Duration kMetricsPatience = std::chrono::seconds(2);

// Answers with nothing but success, or why not.
std::function<void(Status)> Answering(const Peer::Respond& respond) {
  return [respond](const Status& status) {
    if (status.ok()) {
      respond(Message{});
    } else {
      respond(status);
    }
  };
}

bool IsSha256(const std::string& text) {
  return text.size() == 64 && text.find_first_not_of("0123456789abcdef") == std::string::npos;
}

std::vector<DeploymentId> IdsFrom(const Json& list) {
  std::vector<DeploymentId> ids;
  for (const Json& id : list) ids.push_back({id.value("app", ""), id.value("name", "")});
  return ids;
}

LoadReport LoadFrom(const Json& params) {
  LoadReport report{.router = params.value("router", ""),
                    .deployment = {params.value("app", ""), params.value("name", "")},
                    .arrived = params.value("arrived", std::uint64_t{0}),
                    .queued = params.value("queued", 0.0)};
  const Json by_replica = params.value("running", Json::object());
  for (const auto& [replica, running] : by_replica.get_ref<const Json::object_t&>()) {
    report.running[replica] = running;
  }
  return report;
}

}  // namespace

Server::Server(base::Loop& loop, ServerOptions options, PeerExtension extension)
    : loop_(loop), options_(std::move(options)), extension_(std::move(extension)) {}

Server::~Server() {
  loop_.ForgetTurnEnd(*this);
  if (timer_ != 0) loop_.Cancel(timer_);
  if (listener_) loop_.Unwatch(listener_.get(), *this);
  for (const auto& [id, peer] : peers_) peer->Close();
}

Status Server::Listen(Controller& controller) {
  controller_ = &controller;
  auto listener = base::ListenUnix(options_.socket);
  if (!listener.ok()) return listener.status();
  listener_ = *std::move(listener);
  loop_.Watch(listener_.get(), EPOLLIN, *this);
  loop_.AtTurnEnd(*this);
  return {};
}

void Server::OnEvents(std::uint32_t) {
  while (base::UniqueFd socket = base::Accept(listener_)) Accept(std::move(socket));
}

void Server::OnTurnEnd() {
  controller_->Settle();
  if (timer_ != 0) loop_.Cancel(std::exchange(timer_, 0));
  if (controller_->next_wake() == kNever) return;
  timer_ = loop_.At(controller_->next_wake(), [this] {
    timer_ = 0;
    loop_.AtTurnEnd(*this);
  });
}

void Server::Accept(base::UniqueFd socket) {
  const RouterId id = next_id_++;
  peers_[id] = Peer::Open(
      loop_, std::move(socket),
      {.on_call = [this, id](const std::string& method, const Message& params,
                             const Peer::Respond& respond) { OnCall(id, method, params, respond); },
       .on_notice = [this, id](const std::string& method,
                               const Message& params) { OnNotice(id, method, params); },
       .on_closed = [this, id](const std::string& why) { OnClosed(id, why); }});
}

void Server::OnClosed(RouterId id, const std::string& why) {
  auto peer = peers_.extract(id);
  if (peer.empty()) return;
  extension_.on_closed(*peer.mapped(), why);
  controller_->OnRouterGone(id);
  proxies_.erase(id);
  metered_.erase(id);
  loop_.Dispose(std::move(peer.mapped()));
  loop_.AtTurnEnd(*this);
}

void Server::TellLogging(RouterId proxy) {
  peers_.at(proxy)->Notify("logging", {{{"logging_config", controller_->logging()}}, ""});
}

void Server::Publish(RouterId router, const route::RouteUpdate& update) {
  const auto peer = peers_.find(router);
  if (peer != peers_.end()) peer->second->Notify("routes", {route::ToJson(update), ""});
}

void Server::CollectMetrics(std::function<void(std::vector<base::MetricSource>)> done) {
  std::vector<base::Question> questions;
  questions.reserve(metered_.size());
  for (const RouterId id : metered_) {
    questions.emplace_back([peer = peers_.at(id)](Peer::OnReply answer) {
      peer->Call("metrics.collect", {}, std::move(answer));
    });
  }
  base::Gather(loop_, questions, kMetricsPatience,
               [this, done = std::move(done)](const std::vector<Message>& answers) {
                 std::vector<base::MetricSource> sources{
                     {"controller", "controller", ControllerMetrics(*controller_)}};
                 for (const Message& answer : answers) {
                   auto some = base::MetricSourcesFrom(answer.json);
                   if (!some.ok()) {
                     base::LogError("metrics_refused", {{"why", some.status().message()}});
                     continue;
                   }
                   for (auto& source : *some) sources.push_back(std::move(source));
                 }
                 done(std::move(sources));
               });
}

void Server::OnNotice(RouterId id, const std::string& method, const Message& message) {
  const Json& params = message.json;
  loop_.AtTurnEnd(*this);
  if (extension_.on_notice(method, params)) return;
  if (method == "routes.subscribe") {
    const bool everything = params.value("everything", false);
    controller_->OnSubscribe(id, params.value("router", ""), everything,
                             IdsFrom(params.value("deployments", Json::array())));
    if (everything && proxies_.insert(id).second) TellLogging(id);
  } else if (method == "metrics.offer") {
    metered_.insert(id);
  } else if (method == "routes.ack") {
    controller_->OnAcknowledge(id, base::Whole<std::uint64_t>(params.value("epoch", Json(0))));
  } else if (method == "load.report") {
    controller_->OnLoad(LoadFrom(params));
  } else {
    base::LogWarning("unknown_notice", {{"method", method}});
  }
}

void Server::OnCall(RouterId id, const std::string& method, const Message& params,
                    const Peer::Respond& respond) {
  static const std::map<std::string, Handler> handlers = {
      {"serve.start", &Server::Start},
      {"serve.deploy", &Server::Deploy},
      {"serve.wait", &Server::Wait},
      {"serve.delete", &Server::Delete},
      {"serve.shutdown", &Server::Shutdown},
      {"serve.status", &Server::ShowStatus},
      {"serve.app", &Server::ShowApp},
      {"cluster.resources", &Server::ShowResources},
      {"node.drain", &Server::Drain},
      {"node.undrain", &Server::Undrain},
      {"serve.explain_scaling", &Server::ExplainScaling},
      {"serve.scale", &Server::Scale},
  };
  loop_.AtTurnEnd(*this);
  if (extension_.on_call(peers_.at(id), method, params.json, respond)) return;
  const auto handler = handlers.find(method);
  if (handler == handlers.end()) {
    return respond(Status(Code::kUnimplemented, "the controller has no '" + method + "'"));
  }
  try {  // a field of the wrong type: the JSON library throws
    (this->*handler->second)(params, respond);
  } catch (const Json::exception& error) {
    respond(InvalidArgument(method + ": " + error.what()));
  }
}

void Server::Start(const Message& params, const Peer::Respond& respond) {
  const DoorOptions options{.http = params.json.value("http_options", Json::object()),
                            .grpc = params.json.value("grpc_options", Json::object())};
  if (Status bad = KeepCode(params); !bad.ok()) return respond(bad);  // the gRPC directory
  if (config::Has(params.json, "logging_config")) {
    if (Status bad = controller_->SetLogging(params.json.at("logging_config")); !bad.ok()) {
      return respond(bad);
    }
    for (const RouterId proxy : proxies_) TellLogging(proxy);
  }
  controller_->StartProxy(options, [respond](const Result<FrontDoor::Opened>& opened) {
    if (!opened.ok()) return respond(opened.status());
    respond(
        Message{{{"address", opened->address}, {"options_ignored", opened->options_ignored}}, ""});
  });
}

// Code first: a deployment that is accepted must be able to start.
Status Server::KeepCode(const Message& params) const {
  std::size_t at = 0;
  for (const Json& entry : params.json.value("code", Json::array())) {
    const std::string sha = entry.at("sha256");
    const std::size_t size = entry.at("size");
    if (!IsSha256(sha) || size > params.blob.size() - at) {
      return InvalidArgument("malformed code list");
    }
    const std::string path = options_.code_folder + "/" + sha;
    if (Status bad = base::WriteFileAtomic(path, std::string_view(params.blob).substr(at, size));
        !bad.ok()) {
      return bad;
    }
    at += size;
  }
  return {};
}

void Server::Deploy(const Message& params, const Peer::Respond& respond) {
  // Every deploy from a program is a new version of its code, as in Ray Serve: whether the code
  // changed cannot be told from outside.
  auto request = ParseAppRequest(params.json, random_.Hex(16), controller_->logging());
  if (!request.ok()) return respond(request.status());
  if (Status bad = KeepCode(params); !bad.ok()) return respond(bad);
  Answering(respond)(controller_->Deploy(*std::move(request)));
}

void Server::Wait(const Message& params, const Peer::Respond& respond) {
  const std::string app = params.json.value("app", "");
  if (params.json.value("until", "") == "gone") {
    controller_->WaitGone(app, Answering(respond));
  } else {
    controller_->WaitRunning(app, Answering(respond));
  }
}

void Server::Delete(const Message& params, const Peer::Respond& respond) {
  controller_->Delete(params.json.value("app", ""));
  respond(Message{});
}

void Server::Shutdown(const Message&, const Peer::Respond& respond) {
  controller_->Shutdown(Answering(respond));
}

void Server::ShowStatus(const Message&, const Peer::Respond& respond) {
  respond(Message{ServeStatusJson(*controller_,
                                  {.now = loop_.Now(), .slow_startup_s = options_.slow_startup_s}),
                  ""});
}

void Server::ShowResources(const Message&, const Peer::Respond& respond) {
  respond(Message{ResourcesJson(*controller_), ""});
}

void Server::Scale(const Message& params, const Peer::Respond& respond) {
  const DeploymentId id{params.json.value("app", ""), params.json.value("name", "")};
  const auto replicas =
      config::WholeField("target_num_replicas", params.json.value("target_num_replicas", Json()),
                         {.least = 0, .most = 1e6});
  if (!replicas.ok()) return respond(replicas.status());
  Answering(respond)(controller_->Scale(id, static_cast<int>(*replicas)));
}

void Server::ExplainScaling(const Message& params, const Peer::Respond& respond) {
  const DeploymentId id{params.json.value("app", ""), params.json.value("name", "")};
  const auto found = controller_->state().deployments.find(id);
  if (found == controller_->state().deployments.end()) {
    return respond(Status(Code::kNotFound, "There is no " + id.ToString() + "."));
  }
  std::optional<AutoscalingSpec> other;
  if (params.json.contains("with")) {
    Json options = found->second.target.options.value("autoscaling_config", Json::object());
    options.update(params.json.at("with"));
    auto spec = config::ParseAutoscaling(options);
    if (!spec.ok()) return respond(spec.status());
    other = *std::move(spec);
  }
  respond(Message{ScalingJson(found->second, controller_->autoscaler().JournalOf(id), other), ""});
}

void Server::Drain(const Message& params, const Peer::Respond& respond) {
  std::optional<Duration> within;
  if (config::Has(params.json, "deadline_s")) {
    const auto seconds = config::NumberField("deadline_s", params.json.at("deadline_s"), {});
    if (!seconds.ok()) return respond(seconds.status());
    within = FromSeconds(*seconds);
  }
  const std::string node = params.json.value("node", "");
  const Status drains = controller_->Drain(node, within);
  if (!drains.ok() || !params.json.value("wait", false)) return Answering(respond)(drains);
  controller_->WaitDrained(node, Answering(respond));
}

void Server::Undrain(const Message& params, const Peer::Respond& respond) {
  Answering(respond)(controller_->Undrain(params.json.value("node", "")));
}

void Server::ShowApp(const Message& params, const Peer::Respond& respond) {
  const std::string name = params.json.value("app", "");
  const auto found = controller_->state().apps.find(name);
  if (found == controller_->state().apps.end() || found->second.deleting) {
    return respond(Status(Code::kNotFound, "Application '" + name + "' does not exist."));
  }
  respond(Message{{{"ingress", found->second.ingress}, {"deployments", found->second.deployments}},
                  ""});
}

}  // namespace penstock::control
