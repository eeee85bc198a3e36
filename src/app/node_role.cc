#include <signal.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <utility>

#include "app/roles.h"
#include "app/variables.h"
#include "base/environment.h"
#include "base/instance.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/random.h"
#include "base/socket.h"
#include "detect/devices.h"
#include "detect/node_totals.h"
#include "engine/local/agent.h"
#include "engine/local/supervisor.h"

namespace penstock::app {
namespace {

using engine::local::Agent;
using engine::local::NodeContext;
using engine::local::Supervisor;

constexpr int kListenerDescriptor = 3;  // of the controller

// Calls back when a descriptor is readable.
class Readable final : public base::FdHandler {
 public:
  Readable(base::Loop& loop, int fd, std::function<void()> then)
      : loop_(loop), fd_(fd), then_(std::move(then)) {
    loop_.Watch(fd_.get(), EPOLLIN | EPOLLHUP, *this);
  }
  ~Readable() override { loop_.Unwatch(fd_.get(), *this); }
  void OnEvents(std::uint32_t) override { then_(); }
  int fd() const { return fd_.get(); }

 private:
  base::Loop& loop_;
  base::UniqueFd fd_;
  std::function<void()> then_;
};

Result<resources::NodeSpec> DescribeNode(const NodeOptions& options,
                                         const base::Environment& environment) {
  const auto overrides = ResourceOverrides(environment);
  auto labels = LabelOverrides(environment);
  for (const Status& bad :
       {overrides.status(), labels.status(), resources::CheckNodeLabels(options.labels)}) {
    if (!bad.ok()) return bad;
  }
  const detect::Detected detected = detect::DetectNode(environment);
  base::LogInfo("cpus_detected", {{"derivation", detected.cpus.derivation}});
  for (const detect::Accelerators& family : detected.accelerators) {
    base::LogInfo("accelerators_detected",
                  {{"resource", family.resource}, {"derivation", family.derivation}});
  }
  auto totals =
      detect::NodeTotals(options.resources, *overrides, detected, options.ip, options.is_head);
  if (!totals.ok()) return totals.status();
  auto devices = detect::NameDevices(*totals, environment, detected.accelerators);
  if (!devices.ok()) return devices.status();
  resources::NodeSpec node{.id = base::Random().Hex(32),
                           .name = options.name,
                           .ip = options.ip,
                           .is_head = options.is_head,
                           .total = *std::move(totals),
                           .labels = *std::move(labels),
                           .device_ids = std::move(devices->ids),
                           .gpu_vendor = devices->gpu_vendor};
  node.labels.insert(options.labels.begin(), options.labels.end());  // not over the overrides
  node.labels["ray.io/node-id"] = node.id;
  return node;
}

std::string OwnExecutable() {
  std::string path(4096, '\0');
  const auto n = ::readlink("/proc/self/exe", path.data(), path.size());
  path.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
  return path;
}

int BlockSignals() {
  sigset_t handled;
  ::sigemptyset(&handled);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP, SIGCHLD}) ::sigaddset(&handled, signal);
  ::sigprocmask(SIG_BLOCK, &handled, nullptr);
  return ::signalfd(-1, &handled, SFD_CLOEXEC | SFD_NONBLOCK);
}

// One node's process: agent, signals, lifeline and, on the head, the controller.
class NodeProcess {
 public:
  NodeProcess(base::Loop& loop, const NodeOptions& options) : loop_(loop), options_(options) {}

  Status Begin() {
    const base::InstancePaths paths{options_.folder};
    const base::Environment environment = base::AllEnv();
    auto node = DescribeNode(options_, environment);
    // The controller's too: one that refuses to start would be started for ever.
    for (const Status& bad : {node.status(), SlowStartup_s(environment).status(),
                              CompactionTimes(environment).status()}) {
      if (!bad.ok()) return bad;
    }
    signals_ = std::make_unique<Readable>(loop_, BlockSignals(), [this] { OnSignal(); });
    if (options_.lifeline >= 0) {
      lifeline_ = std::make_unique<Readable>(loop_, options_.lifeline, [this] { Stop(); });
    }
    ::prctl(PR_SET_CHILD_SUBREAPER, 1);
    const NodeContext context{.paths = paths,
                              .node = *std::move(node),
                              .environment = environment,
                              .executable = OwnExecutable()};
    if (options_.is_head) {
      if (Status bad = StartController(context); !bad.ok()) return bad;
    }
    agent_ = std::make_unique<Agent>(loop_, context, [this] { Stop(); });
    agent_->SetOnJoined([this] { OnJoined(); });
    agent_->SetOnReapable([this] { Reap(); });
    if (!options_.python.empty()) agent_->WarmUp(options_.python);
    agent_->SetCheckProxy(&CheckProxy);
    return options_.is_head ? Status() : WatchHead();
  }

 private:
  Status StartController(const NodeContext& context) {
    engine::local::SpawnOptions spawn{.argv = {context.executable, "controller", "--instance",
                                               options_.folder, "--ip", context.node.ip},
                                      .variables = context.environment,
                                      .folder = "",
                                      .log_path = context.paths.logs() + "/controller_stderr.log",
                                      .descriptors = {}};
    if (options_.metrics_port >= 0) {
      // Bound here: it outlives the controllers, and whether the port is free is known at once.
      auto listener = base::ListenTcp("127.0.0.1", options_.metrics_port);
      if (!listener.ok()) return listener.status();
      metrics_listener_ = *std::move(listener);
      spawn.argv.emplace_back("--shows-metrics");
      spawn.descriptors = {{metrics_listener_.get(), kListenerDescriptor}};
      base::LogInfo("metrics", {{"address", base::LocalAddress(metrics_listener_)}});
    }
    controller_ = std::make_unique<Supervisor>(loop_, "controller", std::move(spawn));
    return controller_->Start();
  }

  // The instance can be found once its controller has answered.
  void OnJoined() {
    if (std::exchange(joined_, true)) return;
    if (options_.is_head) {
      const Status published = base::PublishInstance(Info());
      if (!published.ok()) base::LogError("instance_not_published", {{"why", published.message()}});
    }
    Report({{"ok", true},
            {"pid", ::getpid()},
            {"folder", options_.folder},
            {"address", Info().Address()}});
  }

  void Report(const nlohmann::json& line) {
    if (options_.report < 0) return;
    const std::string text = line.dump() + "\n";
    [[maybe_unused]] const auto n = ::write(options_.report, text.data(), text.size());
    ::close(std::exchange(options_.report, -1));
  }

  base::InstanceInfo Info() const {
    return {.folder = options_.folder,
            .agent = base::Process::WithId(::getpid()),
            .guard = options_.guarded ? base::Process::WithId(::getppid()) : base::Process(),
            .port = options_.port,
            .embedded = options_.embedded};
  }

  // A further node ends with its head.
  Status WatchHead() {
    const auto head = base::FindInstance(options_.folder);
    if (!head.ok()) return head.status();
    base::UniqueFd pidfd = head->agent.Open();
    if (!pidfd) return Status(Code::kNotFound, "the head of '" + options_.folder + "' is gone");
    head_ = std::make_unique<Readable>(loop_, pidfd.Release(), [this] { Stop(); });
    return {};
  }

  void OnSignal() {
    signalfd_siginfo info{};
    bool child = false;
    while (::read(signals_->fd(), &info, sizeof info) == sizeof info) {
      if (info.ssi_signo == SIGCHLD) {
        child = true;
      } else {
        Stop();
      }
    }
    if (child) Reap();
  }

  void Reap() {
    if (agent_) agent_->Reap({controller_ ? controller_->pid() : 0});
  }

  void Stop() {
    if (std::exchange(stopping_, true)) return;
    lifeline_.reset();
    head_.reset();
    if (options_.is_head) base::RetractInstance(Info());
    // The controller first: it would take the end of replicas for failures.
    if (controller_) return controller_->Stop([this] { StopAgent(); });
    StopAgent();
  }

  void StopAgent() {
    if (!agent_) return loop_.Stop();
    agent_->StopEverything([this] { loop_.Stop(); });
  }

  base::Loop& loop_;
  NodeOptions options_;
  std::unique_ptr<Readable> signals_;
  std::unique_ptr<Readable> lifeline_;
  std::unique_ptr<Readable> head_;
  base::UniqueFd metrics_listener_;
  std::unique_ptr<Supervisor> controller_;
  std::unique_ptr<Agent> agent_;
  bool joined_ = false;
  bool stopping_ = false;
};

int Fail(const NodeOptions& options, const Status& status) {
  base::LogError("node_failed", {{"why", status.message()}});
  const nlohmann::json line = {{"ok", false}, {"message", status.message()}};
  const std::string text = line.dump() + "\n";
  if (options.report < 0 || ::write(options.report, text.data(), text.size()) < 0) {
    std::fprintf(stderr, "penstock node: %s\n", status.message().c_str());
  }
  return 1;
}

}  // namespace

int RunNode(const NodeOptions& options) {
  const base::InstancePaths paths{options.folder};
  const Status logging = base::OpenLog({.path = paths.logs() + "/node_" + options.name + ".log",
                                        .component = "node",
                                        .id = options.name});
  auto loop = base::Loop::Create();
  for (const Status& bad : {logging, loop.status()}) {
    if (!bad.ok()) return Fail(options, bad);
  }
  NodeProcess process(**loop, options);
  if (Status bad = process.Begin(); !bad.ok()) return Fail(options, bad);
  (*loop)->Run();
  return 0;
}

}  // namespace penstock::app
