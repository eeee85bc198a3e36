// `penstock start`: a head, or a further logical node of one.
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <vector>

#include "app/node_flags.h"
#include "app/verbs.h"
#include "base/call_once.h"
#include "base/instance.h"
#include "base/random.h"

namespace penstock::app {
namespace {

struct StartFlags {
  bool head = false;
  bool block = false;
  std::string address;
  int port = 6379;
  int metrics_port = -1;
  NodeFlags node;
};

int Fail(const std::string& message) {
  std::fprintf(stderr, "penstock start: %s\n", message.c_str());
  return 1;
}

// The node role of this same program below its guard, its report on a pipe that the caller reads.
struct Launched {
  int pid = 0;
  int report = -1;
};

Launched LaunchNode(std::vector<std::string> arguments, bool detach) {
  int pipe[2];
  if (::pipe(pipe) != 0) return {};
  arguments.insert(arguments.begin(), {"penstock", "guard"});
  arguments.insert(arguments.end(), {"--report-fd", std::to_string(pipe[1])});
  std::vector<char*> argv;
  argv.reserve(arguments.size() + 1);
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  const int pid = ::fork();
  if (pid == 0) {
    ::close(pipe[0]);
    if (detach) {
      ::setsid();
      const int null = ::open("/dev/null", O_RDWR);
      for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) ::dup2(null, fd);
    }
    ::execv("/proc/self/exe", argv.data());
    ::_exit(127);
  }
  ::close(pipe[1]);
  return {pid, pipe[0]};
}

// One line of JSON, or nothing when the node ended without a word.
nlohmann::json ReadReport(int fd) {
  std::string text;
  char byte = 0;
  while (::read(fd, &byte, 1) == 1 && byte != '\n') text += byte;
  ::close(fd);
  return nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
}

// What ends a process is kept for WaitFor from here on: a launcher that was told to end while its
// node started must not leave it behind, nor its folder. The node inherits this and takes signals
// its own way.
sigset_t HoldSignals() {
  sigset_t held;
  ::sigemptyset(&held);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP, SIGCHLD}) ::sigaddset(&held, signal);
  ::sigprocmask(SIG_BLOCK, &held, nullptr);
  return held;
}

// Until the node has ended, whose exit status it returns. Ctrl-C reaches the node too; a signal to
// this process alone is passed on.
int WaitFor(int node, const sigset_t& held) {
  int status = 0;
  while (::waitpid(node, &status, WNOHANG) == 0) {
    siginfo_t info{};
    const int signal = ::sigwaitinfo(&held, &info);
    if (signal > 0 && signal != SIGCHLD) ::kill(node, SIGTERM);
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

int Run(std::vector<std::string> arguments, bool block, const std::string& folder,
        const sigset_t& held) {
  const Launched node = LaunchNode(std::move(arguments), !block);
  const auto report = ReadReport(node.report);
  if (!report.is_object() || !report.value("ok", false)) {
    ::waitpid(node.pid, nullptr, 0);  // nothing is left of it when we say so
    if (report.is_object()) return Fail(report.value("message", ""));
    return Fail("the node ended before it was ready; its log is in " + folder + "/logs");
  }
  const std::string address = report.value("address", "");
  std::printf("Penstock runs at %s (logs: %s/logs).\n", address.c_str(), folder.c_str());
  std::printf("  to add a node:    penstock start --address=%s\n", address.c_str());
  std::printf("  to see what runs: penstock status\n");
  std::printf("  to stop:          penstock stop\n");
  std::fflush(stdout);
  return block ? WaitFor(node.pid, held) : 0;
}

int StartHead(const StartFlags& flags, const sigset_t& held) {
  const auto live = base::LiveInstances();
  if (!live.ok()) return Fail(live.status().message());
  for (const auto& info : *live) {
    if (info.embedded || info.port != flags.port) continue;
    return Fail("an instance is already running at " + info.Address() +
                "; stop it with `penstock stop`, or start this one with another --port");
  }
  const auto paths = base::MakeInstance("i-" + base::Random().Hex(8));
  if (!paths.ok()) return Fail(paths.status().message());
  std::vector<std::string> arguments = {"--head", "--instance", paths->folder, "--port",
                                        std::to_string(flags.port)};
  if (flags.metrics_port >= 0) {
    arguments.insert(arguments.end(),
                     {"--metrics-export-port", std::to_string(flags.metrics_port)});
  }
  for (std::string& argument : flags.node.Arguments()) arguments.push_back(std::move(argument));
  return Run(std::move(arguments), flags.block, paths->folder, held);
}

// One that no node has or had: the head's is 1. Those that died are listed too.
std::size_t NextNumber(const base::Json& nodes) {
  std::size_t highest = nodes.size();
  for (const auto& node : nodes) {
    const auto name = node.at("name").get<std::string>();
    std::size_t number = 0;
    if (std::sscanf(name.c_str(), "node-%zu", &number) == 1) highest = std::max(highest, number);
  }
  return highest + 1;
}

int JoinHead(const StartFlags& flags, const sigset_t& held) {
  const auto info = base::FindInstance(flags.address);
  if (!info.ok()) return Fail(info.status().message());
  const auto cluster = base::CallOnce(info->folder, "cluster.resources", {});
  if (!cluster.ok()) return Fail(cluster.status().message());
  const auto number = NextNumber(cluster->json.at("nodes"));
  std::vector<std::string> arguments = {"--instance", info->folder};
  // Every logical node has a loopback address of its own, by which `node:<ip>` can name it.
  if (flags.node.ip.empty()) {
    arguments.insert(arguments.end(), {"--node-ip-address", "127.0.0." + std::to_string(number)});
  }
  if (flags.node.name.empty()) {
    arguments.insert(arguments.end(), {"--node-name", "node-" + std::to_string(number)});
  }
  for (std::string& argument : flags.node.Arguments()) arguments.push_back(std::move(argument));
  return Run(std::move(arguments), flags.block, info->folder, held);
}

}  // namespace

void AddStart(CLI::App& root, Action& chosen) {
  auto* verb = root.add_subcommand("start", "Start an instance, or add a logical node to one");
  const auto flags = std::make_shared<StartFlags>();
  verb->add_flag("--head", flags->head, "Start an instance; this node is its head");
  verb->add_option("--address", flags->address, "Join the instance at this address of this host");
  verb->add_option("--port", flags->port, "Names the instance in its address")
      ->check(CLI::Range(1, 65535));
  verb->add_option("--metrics-export-port", flags->metrics_port,
                   "Show metrics at http://127.0.0.1:PORT/metrics (with --head)")
      ->check(CLI::Range(1, 65535));
  verb->add_flag("--block", flags->block, "Stay in the foreground until it ends");
  flags->node.AddTo(*verb);
  verb->callback([flags, &chosen] {
    chosen = [flags] {
      if (flags->head == !flags->address.empty()) {
        return Fail("say either --head or --address=ADDRESS");
      }
      if (!flags->head && flags->metrics_port >= 0) {
        return Fail("--metrics-export-port is for --head: one place shows the whole instance");
      }
      NodeOptions checked;
      if (Status bad = flags->node.Apply(checked); !bad.ok()) return Fail(bad.message());
      const sigset_t held = flags->block ? HoldSignals() : sigset_t{};
      return flags->head ? StartHead(*flags, held) : JoinHead(*flags, held);
    };
  });
}

}  // namespace penstock::app
