#include "base/process.h"

#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <sstream>
#include <string>

#include "base/file.h"

namespace penstock::base {
namespace {

// Of /proc/<pid>/stat, counted as proc(5) does: "pid (name) state ppid ...".
constexpr int kState = 3;
constexpr int kStartTime = 22;

// 0 when nothing runs under this id.
std::uint64_t StartOf(int pid) {
  if (pid <= 0) return 0;
  const auto text = ReadFile("/proc/" + std::to_string(pid) + "/stat");
  if (!text.ok()) return 0;
  // The name may hold anything; the last parenthesis closes it.
  const auto close = text->rfind(')');
  if (close == std::string::npos) return 0;
  std::istringstream fields(text->substr(close + 1));
  std::string field;
  for (int i = kState; fields >> field; ++i) {
    if (i == kState && (field == "Z" || field == "X")) return 0;
    if (i == kStartTime) return std::stoull(field);
  }
  return 0;
}

Duration Read(clockid_t clock) {
  timespec time{};
  if (::clock_gettime(clock, &time) != 0) return {};
  return std::chrono::seconds(time.tv_sec) + Duration(time.tv_nsec);
}

}  // namespace

Duration CpuTime(int pid) {
  clockid_t clock{};
  return ::clock_getcpuclockid(pid, &clock) == 0 ? Read(clock) : Duration();
}

Duration CpuTimeOfOtherThreads() {
  return Read(CLOCK_PROCESS_CPUTIME_ID) - Read(CLOCK_THREAD_CPUTIME_ID);
}

Process Process::WithId(int pid) {
  const std::uint64_t started = StartOf(pid);
  return started == 0 ? Process() : Process{.pid = pid, .started = started};
}

bool Process::alive() const { return started != 0 && StartOf(pid) == started; }

UniqueFd Process::Open() const {
  if (pid <= 0) return {};
  UniqueFd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  // Looked at after it was opened: if the id is still the process's, so is the descriptor.
  return alive() ? std::move(pidfd) : UniqueFd();
}

void SignalThrough(const UniqueFd& pidfd, int signal) {
  if (pidfd) ::syscall(SYS_pidfd_send_signal, pidfd.get(), signal, nullptr, 0);
}

}  // namespace penstock::base
