#include "engine/local/process_tree.h"

#include <signal.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <sstream>
#include <utility>

#include "base/fd.h"
#include "base/file.h"

namespace penstock::engine::local {
namespace {

struct Stat {
  char state = '?';
  int parent = 0;
  int group = 0;
  int session = 0;
};

std::optional<Stat> ReadStat(int pid) {
  const auto text = base::ReadFile("/proc/" + std::to_string(pid) + "/stat");
  if (!text.ok()) return std::nullopt;
  // The name, in parentheses, may hold anything; the last one closes it.
  const auto close = text->rfind(')');
  if (close == std::string::npos) return std::nullopt;
  std::istringstream fields(text->substr(close + 1));
  Stat stat;
  fields >> stat.state >> stat.parent >> stat.group >> stat.session;
  return stat;
}

bool Carries(int pid, const std::string& mark) {
  const auto text = base::ReadFile("/proc/" + std::to_string(pid) + "/environ");
  if (!text.ok()) return false;
  const std::string entry = mark + '\0';
  return text->starts_with(entry) || text->find('\0' + entry) != std::string::npos;
}

std::vector<int> AllPids() {
  std::vector<int> pids;
  for (const std::string& name : base::ListDir("/proc")) {
    if (name.find_first_not_of("0123456789") == std::string::npos) pids.push_back(std::stoi(name));
  }
  return pids;
}

}  // namespace

std::vector<int> FindTree(int leader, const std::string& mark) {
  std::vector<int> tree;
  const int self = ::getpid();
  for (const int pid : AllPids()) {
    const auto stat = ReadStat(pid);
    if (!stat || pid == self || stat->state == 'Z' || stat->state == 'X') continue;
    if (stat->group == leader || stat->session == leader || Carries(pid, mark)) tree.push_back(pid);
  }
  return tree;
}

void ReapOrphans(const std::vector<int>& cared_for) {
  const int self = ::getpid();
  for (const int pid : AllPids()) {
    const auto stat = ReadStat(pid);
    if (!stat || stat->parent != self || stat->state != 'Z') continue;
    if (std::find(cared_for.begin(), cared_for.end(), pid) != cared_for.end()) continue;
    ::waitpid(pid, nullptr, WNOHANG);
  }
}

void EndDescendants() {
  const int self = ::getpid();
  while (true) {
    bool any = false;
    for (const int pid : AllPids()) {
      const auto stat = ReadStat(pid);
      // A child's id is nobody else's before it was waited for.
      any = (stat && stat->parent == self && ::kill(pid, SIGKILL) == 0) || any;
    }
    if (!any) return;
    while (::waitpid(-1, nullptr, 0) < 0 && errno == EINTR) {
    }
    while (::waitpid(-1, nullptr, WNOHANG) > 0) {
    }
  }
}

// One process that is to end.
class TreeKiller::Watch final : public base::FdHandler {
 public:
  Watch(TreeKiller& killer, base::UniqueFd pidfd) : killer_(killer), pidfd_(std::move(pidfd)) {
    killer_.loop_.Watch(pidfd_.get(), EPOLLIN, *this);
  }
  ~Watch() override {
    if (pidfd_) killer_.loop_.Unwatch(pidfd_.get(), *this);
  }
  void OnEvents(std::uint32_t) override {
    // An orphan of the replica is our child now; of somebody else's we just hear that it ended.
    siginfo_t info{};
    ::waitid(P_PIDFD, static_cast<id_t>(pidfd_.get()), &info, WEXITED | WNOHANG);
    killer_.loop_.Unwatch(pidfd_.get(), *this);
    pidfd_.Reset();
    killer_.OnGone();
  }

 private:
  TreeKiller& killer_;
  base::UniqueFd pidfd_;
};

TreeKiller::TreeKiller(base::Loop& loop, int leader, std::string mark, std::function<void()> done)
    : loop_(loop), leader_(leader), mark_(std::move(mark)), done_(std::move(done)) {
  next_ = loop_.After(Duration::zero(), [this] { Round(); });
}

TreeKiller::~TreeKiller() {
  if (next_ != 0) loop_.Cancel(next_);
}

void TreeKiller::Round() {
  next_ = 0;
  watches_.clear();
  for (const int pid : FindTree(leader_, mark_)) {
    // The descriptor first: a number alone may mean somebody else a moment later.
    base::UniqueFd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
    if (!pidfd) continue;
    ::syscall(SYS_pidfd_send_signal, pidfd.get(), SIGKILL, nullptr, 0);
    watches_.push_back(std::make_unique<Watch>(*this, std::move(pidfd)));
  }
  alive_ = watches_.size();
  if (alive_ > 0) return;
  const auto done = std::move(done_);
  done();
}

void TreeKiller::OnGone() {
  if (--alive_ == 0) next_ = loop_.After(Duration::zero(), [this] { Round(); });
}

}  // namespace penstock::engine::local
