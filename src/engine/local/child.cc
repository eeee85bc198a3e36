#include "engine/local/child.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace penstock::engine::local {
namespace {

constexpr int kFirstDescriptor = 3;  // after the standard ones

// Everything the child needs after fork, made before it: between fork and exec nothing may
// allocate.
struct Prepared {
  std::vector<std::string> variables;
  std::vector<char*> argv;
  std::vector<char*> envp;
  int parent = 0;
  int report = -1;  // errno goes here if exec fails
};

Prepared Prepare(SpawnOptions& options) {
  Prepared prepared;
  for (const auto& [name, value] : options.variables) {
    prepared.variables.push_back(name + "=" + value);
  }
  for (std::string& argument : options.argv) prepared.argv.push_back(argument.data());
  prepared.argv.push_back(nullptr);
  for (std::string& variable : prepared.variables) prepared.envp.push_back(variable.data());
  prepared.envp.push_back(nullptr);
  prepared.parent = ::getpid();
  return prepared;
}

bool RedirectOutput(const std::string& log_path) {
  const int null = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  if (null < 0 || ::dup2(null, STDIN_FILENO) < 0) return false;
  if (log_path.empty()) return true;
  const int log = ::open(log_path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  return log >= 0 && ::dup2(log, STDOUT_FILENO) >= 0 && ::dup2(log, STDERR_FILENO) >= 0;
}

// First out of the way of the numbers that the child wants, then to them.
bool PlaceDescriptors(const SpawnOptions& options) {
  constexpr int kOutOfTheWay = 100;
  for (const auto& [ours, theirs] : options.descriptors) {
    const int moved = ::fcntl(ours, F_DUPFD_CLOEXEC, kOutOfTheWay);
    if (moved < 0 || ::dup2(moved, theirs) < 0) return false;
  }
  return true;
}

[[noreturn]] void RunChild(const SpawnOptions& options, const Prepared& prepared) {
  ::setsid();
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != prepared.parent) ::_exit(127);  // the parent died before the line above
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  ::signal(SIGPIPE, SIG_DFL);
  // Whoever started us may have left us descriptors that are not closed by exec.
  ::close_range(kFirstDescriptor, ~0U, CLOSE_RANGE_CLOEXEC);
  const bool ready = RedirectOutput(options.log_path) && PlaceDescriptors(options) &&
                     (options.folder.empty() || ::chdir(options.folder.c_str()) == 0);
  if (ready) ::execvpe(prepared.argv[0], prepared.argv.data(), prepared.envp.data());
  const int why = errno;
  [[maybe_unused]] const auto n = ::write(prepared.report, &why, sizeof why);
  ::_exit(127);
}

Exit ExitOf(const siginfo_t& info, const rusage& usage) {
  Exit exit{.how = "exit code " + std::to_string(info.si_status),
            .peak_bytes = static_cast<std::uint64_t>(usage.ru_maxrss) * 1024};
  if (info.si_code == CLD_EXITED) return exit;
  exit.signal = info.si_status;
  exit.how = "signal " + std::to_string(exit.signal) + " (" + ::strsignal(exit.signal) + ")";
  return exit;
}

}  // namespace

Result<std::unique_ptr<Child>> Child::Spawn(base::Loop& loop, const SpawnOptions& wanted,
                                            OnExit on_exit) {
  SpawnOptions options = wanted;
  int report[2];
  if (::pipe2(report, O_CLOEXEC) != 0)
    return Internal(std::string("pipe: ") + std::strerror(errno));
  base::UniqueFd read_end(report[0]);
  base::UniqueFd write_end(report[1]);
  Prepared prepared = Prepare(options);
  prepared.report = write_end.get();
  const int pid = ::fork();
  if (pid < 0) return Internal(std::string("fork: ") + std::strerror(errno));
  if (pid == 0) RunChild(options, prepared);
  write_end.Reset();
  int why = 0;
  // Ends with nothing read once exec closed the other end.
  const auto n = ::read(read_end.get(), &why, sizeof why);
  if (n == sizeof why) {
    ::waitpid(pid, nullptr, 0);
    return Internal("cannot start '" + options.argv[0] + "': " + std::strerror(why));
  }
  base::UniqueFd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  if (!pidfd) return Internal(std::string("pidfd_open: ") + std::strerror(errno));
  return std::make_unique<Child>(loop, pid, std::move(pidfd), std::move(on_exit));
}

Result<std::unique_ptr<Child>> Child::Adopt(base::Loop& loop, int pid, OnExit on_exit) {
  base::UniqueFd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  siginfo_t info{};
  if (!pidfd ||
      ::waitid(P_PIDFD, static_cast<id_t>(pidfd.get()), &info, WEXITED | WNOHANG | WNOWAIT) != 0) {
    return Status(Code::kNotFound, "process " + std::to_string(pid) +
                                       " is no child of this one: " + std::strerror(errno));
  }
  return std::make_unique<Child>(loop, pid, std::move(pidfd), std::move(on_exit));
}

Child::Child(base::Loop& loop, int pid, base::UniqueFd pidfd, OnExit on_exit)
    : loop_(loop), pid_(pid), pidfd_(std::move(pidfd)), on_exit_(std::move(on_exit)) {
  loop_.Watch(pidfd_.get(), EPOLLIN, *this);
}

Child::~Child() {
  if (pidfd_) loop_.Unwatch(pidfd_.get(), *this);
}

void Child::Signal(int signal) const {
  if (running()) ::kill(pid_, signal);
}

void Child::OnEvents(std::uint32_t) {
  siginfo_t info{};
  rusage usage{};
  // Not the C library's, which does not tell the usage.
  if (::syscall(SYS_waitid, P_PIDFD, pidfd_.get(), &info, WEXITED | WNOHANG, &usage) != 0) return;
  if (info.si_pid == 0) return;
  loop_.Unwatch(pidfd_.get(), *this);
  pidfd_.Reset();
  // The callback may destroy this object.
  const OnExit on_exit = std::move(on_exit_);
  on_exit(ExitOf(info, usage));
}

}  // namespace penstock::engine::local
