#include "engine/local/agent.h"

#include <signal.h>

#include <utility>

#include "base/log.h"
#include "base/metric_source.h"
#include "base/socket.h"
#include "engine/local/messages.h"

namespace penstock::engine::local {
namespace {

using base::Json;
using base::Message;
using base::Peer;

constexpr int kListenerDescriptor = 3;
constexpr int kGrpcDescriptor = 4;
constexpr Duration kMetricsPatience = std::chrono::milliseconds(500);

// On every address of both families, or of the one that this host has.
Result<base::UniqueFd> ListenEverywhere(int port) {
  auto listener = base::ListenTcp("::", port);
  return listener.ok() ? std::move(listener) : base::ListenTcp("0.0.0.0", port);
}

}  // namespace

Agent::Agent(base::Loop& loop, NodeContext context, std::function<void()> on_stop)
    : loop_(loop),
      context_(std::move(context)),
      on_stop_(std::move(on_stop)),
      zygotes_(loop, context_, [this] { OnZygotesChanged(); }),
      oom_(loop),
      code_hosts_(loop, context_),
      link_(loop, context_.paths.control_socket(),
            {.on_up = [this] { Join(); },
             .on_notice = {},
             .on_call =
                 [this](const std::string& method, const Message& params, Peer::Respond respond) {
                   OnCall(method, params.json, std::move(respond));
                 },
             .on_down = [] { base::LogWarning("controller_gone"); }}) {}

Agent::~Agent() = default;

void Agent::WarmUp(const std::string& python) {
  const auto key =
      ZygoteKeyOf({{"python", python}}, ReplicaEnvironment{.variables = context_.environment});
  if (key.ok()) zygotes_.WarmUp(*key);
}

void Agent::Join() {
  link_.Notify("metrics.offer", {});
  Json replicas = Json::array();
  for (const auto& [id, replica] : replicas_) replicas.push_back(ToJson(replica->Describe()));
  Json params = {{"node", ToJson(context_.node)}, {"replicas", replicas}};
  if (proxy_ && proxy_stopping_.empty()) params["proxy"] = ToJson(proxy_order_);
  link_.Call("node.join", {std::move(params), ""}, [this](const Result<Message>& answer) {
    if (!answer.ok()) {
      base::LogError("join_refused", {{"why", answer.status().message()}});
    } else if (on_joined_) {
      on_joined_();
    }
  });
}

void Agent::OnCall(const std::string& method, const Json& params, Peer::Respond respond) {
  Result<std::string> outcome = std::string();
  const auto run = [&](const Status& status) {
    if (!status.ok()) outcome = status;
  };
  // The controller hears of this end in a moment, and until then wants back what has just ended.
  const bool begins =
      method == "replica.start" || method == "code_hosts.run" || method == "proxy.start";
  if (ending_ && begins) {
    run(Status(Code::kUnavailable, "the node ends"));
  } else if (method == "replica.start") {
    run(StartReplica(params));
  } else if (method == "replica.reconfigure") {
    run(ReconfigureReplica(params));
  } else if (method == "replica.stop") {
    run(StopReplica(params));
  } else if (method == "code_hosts.run") {
    run(RunCodeHosts(params));
  } else if (method == "proxy.start") {
    outcome = StartProxy(params);
  } else if (method == "proxy.stop") {
    return StopProxy([respond = std::move(respond)] { respond(Message{}); });
  } else if (method == "metrics.collect") {
    return CollectMetrics(respond);
  } else if (method == "node.stop") {
    on_stop_();
  } else {
    run(Status(Code::kUnimplemented, "an agent has no '" + method + "'"));
  }
  if (outcome.ok()) {
    respond(Message{{{"address", *outcome}}, ""});
  } else {
    base::LogError("order_failed", {{"order", method}, {"why", outcome.status().message()}});
    respond(outcome.status());
  }
}

Status Agent::StartReplica(const Json& params) {
  auto order = StartOrderFrom(params);
  if (!order.ok()) return order.status();
  const ReplicaId id = order->id;
  if (replicas_.contains(id)) return {};  // an order that came twice
  auto replica =
      std::make_shared<ReplicaProcess>(loop_, random_, context_, zygotes_, oom_, *std::move(order),
                                       [this](const ReplicaEvent& event) { OnEvent(event); });
  replicas_.emplace(id, replica);
  replica->Start();
  return {};
}

Status Agent::ReconfigureReplica(const Json& params) {
  const auto order = ReconfigureOrderFrom(params);
  if (!order.ok()) return order.status();
  if (const auto found = replicas_.find(order->id); found != replicas_.end()) {
    found->second->Reconfigure(*order);
  }
  return {};
}

Status Agent::StopReplica(const Json& params) {
  const auto order = StopOrderFrom(params);
  if (!order.ok()) return order.status();
  if (const auto found = replicas_.find(order->id); found != replicas_.end()) {
    found->second->Stop(order->grace);
  } else {
    OnEvent({.kind = ReplicaEvent::Kind::kStopped, .id = order->id, .message = "unknown here"});
  }
  return {};
}

Status Agent::RunCodeHosts(const Json& params) {
  std::vector<CodeHostOrder> orders;
  for (const Json& entry : params.at("hosts")) {
    auto order = CodeHostOrderFrom(entry);
    if (!order.ok()) return order.status();
    orders.push_back(*std::move(order));
  }
  return code_hosts_.Run(orders);
}

// Bound here rather than in the proxy: the caller learns at once whether the address is free.
Result<std::string> Agent::StartProxy(const Json& params) {
  if (!proxy_stopping_.empty()) return Status(Code::kUnavailable, "the proxy is being stopped");
  if (proxy_) return base::LocalAddress(proxy_listener_);
  const auto order = ProxyOrderFrom(params);
  if (!order.ok()) return order.status();
  if (check_proxy_) {
    if (Status bad = check_proxy_(order->options); !bad.ok()) return bad;
  }
  Variables variables = context_.environment;
  variables[kProxyOptions] = order->options.dump();
  auto listener = base::ListenTcp(order->host, order->port);
  if (!listener.ok()) return listener.status();
  base::UniqueFd grpc_listener;
  if (order->grpc_port > 0) {
    auto grpc = ListenEverywhere(order->grpc_port);
    if (!grpc.ok()) return grpc.status();
    grpc_listener = *std::move(grpc);
  }
  proxy_listener_ = *std::move(listener);
  grpc_listener_ = std::move(grpc_listener);
  std::vector<std::pair<int, int>> descriptors = {{proxy_listener_.get(), kListenerDescriptor}};
  std::vector<std::string> argv = {
      context_.executable, "proxy", "--instance",    context_.paths.folder, "--node",
      context_.node.id,    "--ip",  context_.node.ip};
  if (grpc_listener_) {
    argv.insert(argv.end(), {"--grpc", order->grpc_options.dump()});
    descriptors.emplace_back(grpc_listener_.get(), kGrpcDescriptor);
  }
  proxy_ = std::make_unique<Supervisor>(
      loop_, "proxy",
      SpawnOptions{.argv = std::move(argv),
                   .variables = std::move(variables),
                   .folder = "",
                   .log_path = context_.paths.logs() + "/proxy_stderr.log",
                   .descriptors = descriptors});
  if (Status bad = proxy_->Start(); !bad.ok()) {
    proxy_.reset();
    proxy_listener_.Reset();
    grpc_listener_.Reset();
    return bad;
  }
  proxy_order_ = *order;
  return base::LocalAddress(proxy_listener_);
}

// The address is free when the proxy has ended: it has the listener too.
void Agent::StopProxy(std::function<void()> done) {
  if (!proxy_) return done();
  proxy_stopping_.push_back(std::move(done));
  if (proxy_stopping_.size() > 1) return;
  proxy_listener_.Reset();
  grpc_listener_.Reset();
  proxy_->Stop([this] {
    loop_.Dispose(std::shared_ptr<Supervisor>(std::move(proxy_)));  // it is calling us
    for (const auto& stopped : std::exchange(proxy_stopping_, {})) stopped();
  });
}

// A replica that is busy does not hold up the others: it is shown as it was.
void Agent::CollectMetrics(const Peer::Respond& respond) {
  std::vector<base::Question> questions;
  questions.reserve(replicas_.size());
  for (const auto& [id, replica] : replicas_) {
    questions.emplace_back([replica = replica](base::Peer::OnReply done) {
      replica->CollectMetrics(std::move(done));
    });
  }
  base::Gather(loop_, questions, kMetricsPatience, [this, respond](const auto&) {
    Json sources = Json::array();
    for (const auto& [id, replica] : replicas_) {
      if (!replica->metrics().is_null()) sources.push_back(replica->metrics());
    }
    respond(Message{{{"sources", std::move(sources)}}, ""});
  });
}

void Agent::OnEvent(const ReplicaEvent& event) {
  link_.Notify("replica.event", {ToJson(event), ""});
  if (event.kind != ReplicaEvent::Kind::kStopped) return;
  auto gone = replicas_.extract(event.id);
  // It is telling us this itself: it must outlive the call.
  if (!gone.empty()) loop_.Dispose(std::move(gone.mapped()));
  FinishIfEmpty();
}

void Agent::Reap(std::vector<int> others) {
  // A process that was just forked and has ended must not be taken for an orphan.
  reap_later_ = zygotes_.forking();
  if (reap_later_) return;
  for (const auto& [id, replica] : replicas_) others.push_back(replica->pid());
  if (proxy_) others.push_back(proxy_->pid());
  for (const int pid : zygotes_.pids()) others.push_back(pid);
  for (const int pid : code_hosts_.pids()) others.push_back(pid);
  ReapOrphans(others);
}

void Agent::StopEverything(std::function<void()> done) {
  ending_ = true;
  on_empty_ = std::move(done);
  for (const auto& [id, replica] : replicas_) replica->Stop(Duration::zero());
  code_hosts_.StopAll([this] { FinishIfEmpty(); });
  zygotes_.Stop();
  StopProxy([this] { FinishIfEmpty(); });
}

void Agent::OnZygotesChanged() {
  if (reap_later_ && !zygotes_.forking() && on_reapable_) on_reapable_();
  FinishIfEmpty();
}

void Agent::FinishIfEmpty() {
  const bool empty = replicas_.empty() && !proxy_ && code_hosts_.empty() && zygotes_.pids().empty();
  if (!empty || !on_empty_) return;
  std::exchange(on_empty_, nullptr)();
}

}  // namespace penstock::engine::local
