// The guard of a node: the parent of its agent, and the subreaper of everything below.
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <initializer_list>

#include "app/roles.h"
#include "base/instance.h"
#include "engine/local/process_tree.h"

namespace penstock::app {
namespace {

constexpr int kFirstInherited = 3;  // descriptors from here on are the agent's

sigset_t Handled() {
  sigset_t handled;
  ::sigemptyset(&handled);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP, SIGCHLD}) ::sigaddset(&handled, signal);
  return handled;
}

[[noreturn]] void RunAgent(std::vector<std::string> arguments, const sigset_t& mask, int guard) {
  // Without its guard the agent ends in order, while it still can.
  ::prctl(PR_SET_PDEATHSIG, SIGTERM);
  if (::getppid() != guard) ::_exit(1);
  ::sigprocmask(SIG_SETMASK, &mask, nullptr);
  arguments.insert(arguments.begin(), {"penstock", "node"});
  arguments.emplace_back("--guarded");
  std::vector<char*> argv;
  argv.reserve(arguments.size() + 1);
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  ::execv("/proc/self/exe", argv.data());
  ::_exit(127);
}

// Who stops the instance waits for its members. One that a script owns has no folder yet, and is
// not stopped by others.
base::UniqueFd Join(const std::vector<std::string>& arguments) {
  const auto option = std::find(arguments.begin(), arguments.end(), "--instance");
  if (option == arguments.end() || option + 1 == arguments.end()) return {};
  auto membership = base::JoinInstance({*(option + 1)});
  if (membership.ok()) return *std::move(membership);
  std::fprintf(stderr, "penstock guard: %s\n", membership.status().message().c_str());
  return {};
}

// Passes on what ends a process, until the agent has ended. Its wait status.
int WaitForAgent(int agent, const sigset_t& handled) {
  while (true) {
    siginfo_t info{};
    const int signal = ::sigwaitinfo(&handled, &info);
    if (signal > 0 && signal != SIGCHLD) ::kill(agent, SIGTERM);
    int status = 0;
    for (int pid = 0; (pid = ::waitpid(-1, &status, WNOHANG)) > 0;) {
      if (pid == agent) return status;
    }
  }
}

}  // namespace

int RunGuard(const std::vector<std::string>& arguments) {
  const sigset_t handled = Handled();
  sigset_t before;
  ::sigprocmask(SIG_BLOCK, &handled, &before);
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);
  const int self = ::getpid();
  const int agent = ::fork();
  if (agent < 0) {
    std::fprintf(stderr, "penstock guard: fork: %s\n", std::strerror(errno));
    return 1;
  }
  if (agent == 0) RunAgent(arguments, before, self);
  // Who waits for the agent's report must see its end.
  ::close_range(kFirstInherited, ~0U, 0);
  // Never closed by us: the kernel does when the process ends, and then it is gone from /proc but
  // for its number. Who waited for its members finds none.
  [[maybe_unused]] const int membership = Join(arguments).Release();
  const int status = WaitForAgent(agent, handled);
  engine::local::EndDescendants();
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace penstock::app
