#include "engine/local/replica_process.h"

#include <fcntl.h>
#include <signal.h>

#include <algorithm>
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
constexpr int kPageDescriptor = 4;
// What of a log is quoted when a replica died without a word of its own, in bytes.
constexpr std::size_t kTailBytes = 4000;

base::UniqueFd OpenLog(const std::string& path) {
  return base::UniqueFd(::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
}

base::UniqueFd OpenFolder(const std::string& path) {
  return base::UniqueFd(
      ::open(path.empty() ? "." : path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
}

std::vector<std::string> Argv(const NodeContext& context, const Json& launch) {
  if (launch.value("kind", "python") == "library") return {context.executable, "replica"};
  return {launch.value("python", "python3"), "-m", "penstock._replica"};
}

}  // namespace

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

ReplicaProcess::ReplicaProcess(base::Loop& loop, base::Random& random, const NodeContext& context,
                               Zygotes& zygotes, OomWatch& oom, StartOrder order,
                               std::function<void(const ReplicaEvent&)> tell)
    : loop_(loop),
      random_(random),
      context_(context),
      zygotes_(zygotes),
      oom_(oom),
      order_(std::move(order)),
      tell_(std::move(tell)) {
  const DeploymentId& deployment = order_.id.deployment;
  log_path_ = context_.paths.logs() + "/replica_" + FileName(deployment.app) + "_" +
              FileName(deployment.name) + "_" + order_.id.unique + ".log";
  socket_path_ = context_.paths.sockets() + "/" + order_.id.unique + ".sock";
}

ReplicaProcess::~ReplicaProcess() {
  if (kill_timer_ != 0) loop_.Cancel(kill_timer_);
}

void ReplicaProcess::Start() {
  began_ = loop_.clock().Now();
  environment_ = MakeEnvironment(context_.environment, context_.node, order_);
  environment_.variables[kReplicaMark] = order_.id.unique;
  environment_.variables["PENSTOCK_CONTROL_FD"] = std::to_string(kControlDescriptor);
  environment_.variables["PENSTOCK_PAGE_FD"] = std::to_string(kPageDescriptor);
  environment_.variables["PENSTOCK_INSTANCE"] = context_.paths.folder;
  facts_["env"] = Json::object();
  for (const auto& [name, decided] : environment_.decided) {
    facts_["env"][name] = {{"value", decided.value}, {"reason", decided.reason}};
  }
  facts_["log"] = log_path_;
  facts_["socket"] = socket_path_;
  const auto limits = WatchdogLimitsFrom(environment_.variables);
  auto page = base::ProgressPage::Create();
  if (!limits.ok()) return RefuseStart(limits.status().message());
  if (!page.ok()) return RefuseStart(page.status().message());
  limits_ = *limits;
  page_ = *std::move(page);
  const auto key = ZygoteKeyOf(order_.launch, environment_);
  if (!key.ok()) return StartFresh(key.status().message());
  Fork(*key);
}

// There will be no process.
void ReplicaProcess::RefuseStart(const std::string& why) {
  start_failed_ = true;
  Tell(Kind::kStartFailed, why);
  OnExit("its start");
}

std::string ReplicaProcess::Folder() const {
  return order_.runtime_env.working_dir.empty() ? order_.launch.value("cwd", "")
                                                : order_.runtime_env.working_dir;
}

void ReplicaProcess::Fork(const ZygoteKey& key) {
  ForkRequest request{.environment = environment_,
                      .control = {},
                      .log = OpenLog(log_path_),
                      .folder = OpenFolder(Folder()),
                      .page = page_->Share()};
  auto pair = base::MakeSocketPair();
  // What cannot be opened fails once more, and is then reported, below.
  if (!pair.ok() || !request.log || !request.folder || !request.page)
    return StartFresh("its files do not open");
  request.control = std::move(pair->theirs);
  waiting_control_ = std::move(pair->ours);
  zygotes_.Fork(key, std::move(request),
                [this](const Result<int>& pid, TimePoint asked) { OnForked(pid, asked); });
}

void ReplicaProcess::OnForked(const Result<int>& pid, TimePoint asked) {
  base::UniqueFd control = std::move(waiting_control_);
  Result<std::unique_ptr<Child>> child = pid.status();
  if (pid.ok()) {
    child = Child::Adopt(loop_, *pid, [this](const Exit& exit) { OnExit(Words(exit)); });
  }
  if (child.ok()) {
    facts_["startup"] = {{"process", "forked"}, {"queue_s", ToSeconds(asked - began_)}};
    began_ = asked;
    return OnBegun(*std::move(child), std::move(control));
  }
  base::LogWarning("replica_not_forked",
                   {{"replica", order_.id.unique}, {"why", child.status().message()}});
  if (stopping_) return OnExit("its start, which was stopped");
  StartFresh(child.status().message());
}

void ReplicaProcess::StartFresh(const std::string& why) {
  const TimePoint now = loop_.clock().Now();
  facts_["startup"] = {
      {"process", "fresh"}, {"why_fresh", why}, {"queue_s", ToSeconds(now - began_)}};
  began_ = now;
  auto pair = base::MakeSocketPair();
  if (!pair.ok()) return OnExit(pair.status().message());
  auto child = Child::Spawn(loop_,
                            {.argv = Argv(context_, order_.launch),
                             .variables = environment_.variables,
                             .folder = Folder(),
                             .log_path = log_path_,
                             .descriptors = {{pair->theirs.get(), kControlDescriptor},
                                             {page_->fd().get(), kPageDescriptor}}},
                            [this](const Exit& exit) { OnExit(Words(exit)); });
  if (!child.ok()) return OnExit(child.status().message());
  OnBegun(*std::move(child), std::move(pair->ours));
}

void ReplicaProcess::OnBegun(std::unique_ptr<Child> child, base::UniqueFd control) {
  child_ = std::move(child);
  facts_["pid"] = child_->pid();
  const TimePoint now = loop_.clock().Now();
  facts_["startup"]["spawn_s"] = ToSeconds(now - began_);
  began_ = now;
  control_ = base::Peer::Open(loop_, std::move(control), {});
  Tell(Kind::kSpawned);
  // A fork waits for this: it is in the agent's care now.
  Initialize();
  if (stopping_) Kill();
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
          {"rank", ToJson(order_.rank)},
          {"world_size", order_.world_size},
          {"gang", ToJson(order_.gang)},
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
    if (answer->json.is_object()) AddFacts(answer->json);
    Tell(Kind::kReady);
    WatchHealth();
    return;
  }
  // A connection that broke is a process that is ending: its exit tells more.
  if (answer.status().code() == Code::kUnavailable) return;
  start_failed_ = true;
  Tell(Kind::kStartFailed, answer.status().message());
}

// What its code told; the time until it ran is what that does not account for.
void ReplicaProcess::AddFacts(const Json& told) {
  Json startup = facts_["startup"];
  const Json code = told.value("startup", Json::object());
  const double known_s = code.value("load_s", 0.0) + code.value("init_s", 0.0);
  startup["import_s"] = std::max(0.0, ToSeconds(loop_.clock().Now() - began_) - known_s);
  startup.update(code);
  facts_.update(told);
  facts_["startup"] = startup;
}

void ReplicaProcess::Reconfigure(const ReconfigureOrder& order) {
  order_.health_check_period_s = order.health_check_period_s;
  order_.health_check_timeout_s = order.health_check_timeout_s;
  if (health_) health_->SetTimes(order_.health_check_period_s, order_.health_check_timeout_s);
  const char* router = "request_router_config";
  const bool same_router =
      order_.options.value(router, Json()) == order.options.value(router, Json());
  const bool same_limit = order_.max_ongoing_requests == order.max_ongoing_requests;
  const bool same_logging = order_.logging == order.logging;
  const bool same_rank = order_.rank == order.rank;
  // Counts as taken: user code that raises when it hears of it is not asked again.
  order_.rank = order.rank;
  order_.world_size = order.world_size;
  const bool same = same_limit && same_logging && same_router && same_rank;
  if (!ready_ || (same && !order.user_config_changed)) {
    Adopt(order);
    return Tell(Kind::kReconfigured);
  }
  Json change = {{"max_ongoing_requests", order.max_ongoing_requests}};
  if (!same_rank) {
    change["rank"] = ToJson(order.rank);
    change["world_size"] = order.world_size;
  }
  if (!same_logging) change["logging"] = ToJson(order.logging);
  if (!same_router) change[router] = order.options.value(router, Json());
  if (order.user_config_changed) change["user_config"] = Json::parse(order.user_config);
  control_->Call("replica.reconfigure", {change, ""}, [this, order](const Result<Message>& answer) {
    if (answer.ok()) Adopt(order);
    Tell(Kind::kReconfigured, answer.ok() ? "" : answer.status().message());
  });
}

// What it took is what a new controller is told: what it refused, or has not answered to, it is
// asked to take again.
void ReplicaProcess::Adopt(const ReconfigureOrder& order) {
  order_.options = order.options;
  order_.app_record = order.app_record;
  order_.max_ongoing_requests = order.max_ongoing_requests;
  order_.logging = order.logging;
  if (order.user_config_changed) order_.user_config = order.user_config;
}

// ---- health ---------------------------------------------------------------------------------

void ReplicaProcess::WatchHealth() {
  health_ = std::make_unique<HealthWatch>(
      loop_, random_, *control_, *page_,
      HealthWatch::Options{.pid = pid(),
                           .mark = std::string(kReplicaMark) + "=" + order_.id.unique,
                           .own_check = facts_.value("checks_health", false),
                           .period_s = order_.health_check_period_s,
                           .timeout_s = order_.health_check_timeout_s,
                           .limits = limits_},
      [this](const HealthWatch::Report& report) { OnHealth(report); });
}

void ReplicaProcess::OnHealth(const HealthWatch::Report& report) {
  facts_["health"] = report.facts;
  if (report.failed) return Tell(Kind::kUnhealthy, report.why);
  Tell(report.health == Health::kBusy ? Kind::kBusy : Kind::kHealthy);
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
  health_.reset();
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
  health_.reset();
  if (control_) control_->Close();
  const int leader = child_ ? child_->pid() : -1;
  const auto finished = [this, cause] { Tell(Kind::kStopped, cause); };
  killer_ = std::make_unique<TreeKiller>(
      loop_, leader, std::string(kReplicaMark) + "=" + order_.id.unique, finished);
}

// A kill that we did not ask for is explained where it can be.
std::string ReplicaProcess::Words(const Exit& exit) {
  if (exit.signal != SIGKILL || stopping_ || start_failed_ || !oom_.KilledLately()) return exit.how;
  const std::uint64_t peak_mib = exit.peak_bytes >> 20;
  return exit.how + ", most likely for want of memory: the kernel's OOM killer was just at work, " +
         "and it had used up to " + std::to_string(peak_mib) + " MiB";
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
