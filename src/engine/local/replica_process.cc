#include "engine/local/replica_process.h"

#include <signal.h>

#include <utility>

#include "base/file.h"
#include "base/log.h"
#include "base/socket.h"
#include "engine/local/messages.h"

namespace penstock::engine::local {
namespace {

using base::Json;
using base::Message;
using Kind = ReplicaEvent::Kind;

constexpr int kControlDescriptor = 3;
constexpr const char* kMark = "PENSTOCK_REPLICA";
// What of a log is quoted when a replica died without a word of its own, in bytes.
constexpr std::size_t kTailBytes = 4000;

// Ray's rule: what is not printable ASCII or not fit for a file name becomes "_".
std::string FileName(const std::string& text) {
  std::string name;
  for (const char c : text) {
    const bool fit =
        c > ' ' && c < 127 && std::string_view("<>:\"/\\|?*").find(c) == std::string::npos;
    name += fit ? c : '_';
  }
  return name;
}

std::vector<std::string> Argv(const NodeContext& context, const Json& launch) {
  if (launch.value("kind", "python") == "library") return {context.executable, "replica"};
  return {launch.value("python", "python3"), "-m", "penstock._replica"};
}

}  // namespace

ReplicaProcess::ReplicaProcess(base::Loop& loop, base::Random& random, const NodeContext& context,
                               StartOrder order, std::function<void(const ReplicaEvent&)> tell)
    : loop_(loop),
      random_(random),
      context_(context),
      order_(std::move(order)),
      tell_(std::move(tell)) {
  const DeploymentId& deployment = order_.id.deployment;
  log_path_ = context_.paths.logs() + "/replica_" + FileName(deployment.app) + "_" +
              FileName(deployment.name) + "_" + order_.id.unique + ".log";
  socket_path_ = context_.paths.sockets() + "/" + order_.id.unique + ".sock";
}

ReplicaProcess::~ReplicaProcess() {
  for (const auto timer : {health_timer_, answer_timer_, kill_timer_}) {
    if (timer != 0) loop_.Cancel(timer);
  }
}

void ReplicaProcess::Start() {
  ReplicaEnvironment environment = MakeEnvironment(context_.environment, context_.node, order_);
  environment.variables[kMark] = order_.id.unique;
  environment.variables["PENSTOCK_CONTROL_FD"] = std::to_string(kControlDescriptor);
  environment.variables["PENSTOCK_INSTANCE"] = context_.paths.folder;
  facts_["env"] = Json::object();
  for (const auto& [name, decided] : environment.decided) {
    facts_["env"][name] = {{"value", decided.value}, {"reason", decided.reason}};
  }
  facts_["log"] = log_path_;
  facts_["socket"] = socket_path_;
  auto pair = base::MakeSocketPair();
  if (!pair.ok()) return OnExit(pair.status().message());
  const std::string folder = order_.runtime_env.working_dir.empty()
                                 ? order_.launch.value("cwd", "")
                                 : order_.runtime_env.working_dir;
  auto child = Child::Spawn(loop_,
                            {.argv = Argv(context_, order_.launch),
                             .variables = environment.variables,
                             .folder = folder,
                             .log_path = log_path_,
                             .descriptors = {{pair->theirs.get(), kControlDescriptor}}},
                            [this](const std::string& how, bool) { OnExit(how); });
  if (!child.ok()) return OnExit(child.status().message());
  child_ = *std::move(child);
  facts_["pid"] = child_->pid();
  control_ = base::Peer::Open(loop_, std::move(pair->ours), {});
  Tell(Kind::kSpawned);
  Initialize();
}

Json ReplicaProcess::InitParams() const {
  Json launch = order_.launch;
  if (launch.contains("code")) {
    launch["code_path"] = context_.paths.code() + "/" + launch.at("code").get<std::string>();
  }
  return {{"replica", ToJson(order_.id)},
          {"socket", socket_path_},
          {"launch", launch},
          {"library", launch.value("library", "")},
          {"options", order_.options},
          {"user_config", Json::parse(order_.user_config)},
          {"max_ongoing_requests", order_.max_ongoing_requests},
          {"logging", ToJson(order_.logging)},
          {"log", log_path_},
          {"rank", order_.rank},
          {"world_size", order_.world_size},
          {"node", {{"id", context_.node.id}, {"ip", context_.node.ip}}},
          {"allocation", ToJson(order_.allocation)},
          {"device_ids", AssignedIds(context_.node, order_.allocation)},
          {"control_socket", context_.paths.control_socket()}};
}

void ReplicaProcess::Initialize() {
  control_->Call("replica.init", {InitParams(), ""},
                 [this](const Result<Message>& answer) { OnInitialized(answer); });
}

void ReplicaProcess::OnInitialized(const Result<Message>& answer) {
  if (stopping_) return;
  if (answer.ok()) {
    ready_ = true;
    if (answer->json.is_object()) facts_.update(answer->json);
    Tell(Kind::kReady);
    ScheduleHealthCheck();
    return;
  }
  // A connection that broke is a process that is ending: its exit tells more.
  if (answer.status().code() == Code::kUnavailable) return;
  start_failed_ = true;
  Tell(Kind::kStartFailed, answer.status().message());
}

void ReplicaProcess::Reconfigure(const ReconfigureOrder& order) {
  order_.options = order.options;
  order_.health_check_period_s = order.health_check_period_s;
  order_.health_check_timeout_s = order.health_check_timeout_s;
  const bool same_limit = order_.max_ongoing_requests == order.max_ongoing_requests;
  const bool same_logging = order_.logging == order.logging;
  order_.max_ongoing_requests = order.max_ongoing_requests;
  order_.logging = order.logging;
  if (order.user_config_changed) order_.user_config = order.user_config;
  if (!ready_ || (same_limit && same_logging && !order.user_config_changed)) {
    return Tell(Kind::kReconfigured);
  }
  Json change = {{"max_ongoing_requests", order.max_ongoing_requests}};
  if (!same_logging) change["logging"] = ToJson(order.logging);
  if (order.user_config_changed) change["user_config"] = Json::parse(order.user_config);
  control_->Call("replica.reconfigure", {change, ""}, [this](const Result<Message>& answer) {
    Tell(Kind::kReconfigured, answer.ok() ? "" : answer.status().message());
  });
}

// ---- health ---------------------------------------------------------------------------------

void ReplicaProcess::ScheduleHealthCheck() {
  // A tenth either way, so that replicas started together are not checked together.
  const double jitter = 0.9 + 0.2 * static_cast<double>(random_.Next() % 1000) / 1000;
  health_timer_ = loop_.After(FromSeconds(order_.health_check_period_s * jitter), [this] {
    health_timer_ = 0;
    CheckHealth();
  });
}

void ReplicaProcess::CheckHealth() {
  if (stopping_ || pid() == 0) return;
  const std::uint64_t number = ++check_;
  answer_timer_ = loop_.After(FromSeconds(order_.health_check_timeout_s), [this] {
    answer_timer_ = 0;
    ++check_;  // an answer that comes now comes too late
    OnHealth(Status(Code::kDeadlineExceeded,
                    "no answer within " + Json(order_.health_check_timeout_s).dump() + " s"));
  });
  control_->Call("replica.health", {}, [this, number](const Result<Message>& answer) {
    if (number != check_) return;
    loop_.Cancel(std::exchange(answer_timer_, 0));
    OnHealth(answer.ok() ? Status() : answer.status());
  });
}

void ReplicaProcess::OnHealth(const Status& status) {
  if (stopping_) return;
  if (!status.ok()) {
    Tell(Kind::kUnhealthy, status.message());
  } else if (unhealthy_) {
    Tell(Kind::kHealthy);
  }
  unhealthy_ = !status.ok();
  ScheduleHealthCheck();
}

void ReplicaProcess::CollectMetrics(base::Peer::OnReply done) {
  if (!ready_ || pid() == 0) return done(Status(Code::kUnavailable, "it does not run"));
  control_->Call("replica.metrics", {},
                 [this, done = std::move(done)](const Result<Message>& answer) {
                   if (answer.ok()) {
                     metrics_ = {{"component", "replica"},
                                 {"worker", order_.id.unique},
                                 {"families", answer->json.at("families")}};
                   }
                   done(answer);
                 });
}

// ---- the end --------------------------------------------------------------------------------

void ReplicaProcess::Stop(Duration grace) {
  const bool first = !std::exchange(stopping_, true);
  if (pid() == 0) return;  // OnExit has happened or is about to
  if (!ready_ || grace <= Duration::zero()) return Kill();
  if (kill_timer_ != 0) loop_.Cancel(kill_timer_);
  kill_timer_ = loop_.After(grace, [this] {
    kill_timer_ = 0;
    base::LogWarning("replica_killed", {{"replica", order_.id.unique}, {"why", "grace is over"}});
    Kill();
  });
  if (!first) return;
  control_->Call("replica.drain", {}, [this](const Result<Message>& answer) {
    if (answer.ok()) Farewell();
  });
}

void ReplicaProcess::Farewell() {
  control_->Call("replica.stop", {}, [](const Result<Message>&) {});  // its exit is the answer
}

void ReplicaProcess::Kill() {
  if (child_) child_->Signal(SIGKILL);
}

// The leader has ended, or never began; whatever it started goes now.
void ReplicaProcess::OnExit(const std::string& how) {
  std::string cause = "Its process ended with " + how + ".";
  if (!ready_ && !start_failed_ && !stopping_) cause += LogTail();
  base::LogInfo("replica_ended", {{"replica", order_.id.unique}, {"how", how}});
  if (control_) control_->Close();
  const int leader = child_ ? child_->pid() : -1;
  const auto finished = [this, cause] { Tell(Kind::kStopped, cause); };
  killer_ = std::make_unique<TreeKiller>(loop_, leader, std::string(kMark) + "=" + order_.id.unique,
                                         finished);
}

std::string ReplicaProcess::LogTail() const {
  const std::string tail = base::ReadTail(log_path_, kTailBytes);
  return tail.empty() ? "" : " The last lines of its log:\n" + tail;
}

void ReplicaProcess::Tell(Kind kind, const std::string& message) {
  tell_({.kind = kind, .id = order_.id, .message = message, .facts = facts_});
}

AdoptedReplica ReplicaProcess::Describe() const {
  return {
      .order = order_, .ready = ready_, .stopping = stopping_ || start_failed_, .facts = facts_};
}

}  // namespace penstock::engine::local
