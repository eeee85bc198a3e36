#include "process.h"

#include <fcntl.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "base/fd.h"

namespace penstock::python {
namespace {

// A number from the other end of a pipe; `otherwise` when it ended without one.
int ReadNumber(const base::UniqueFd& pipe, int otherwise) {
  int number = otherwise;
  ssize_t n = 0;
  do {
    n = ::read(pipe.get(), &number, sizeof number);
  } while (n < 0 && errno == EINTR);
  return n == sizeof number ? number : otherwise;
}

// The process between forks and exits: its child, an orphan, goes to the nearest subreaper. It
// runs no Python, so it changes little of what it shares.
int ForkAway() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return -errno;
  const base::UniqueFd read_end(ends[0]);
  base::UniqueFd write_end(ends[1]);
  PyOS_BeforeFork();
  const int between = ::fork();
  if (between == 0) {
    const int child = ::fork();
    if (child == 0) {
      PyOS_AfterFork_Child();
      return 0;
    }
    const int answer = child > 0 ? child : -errno;
    [[maybe_unused]] const auto n = ::write(write_end.get(), &answer, sizeof answer);
    ::_exit(0);
  }
  const int why = errno;
  PyOS_AfterFork_Parent();
  if (between < 0) return -why;
  write_end.Reset();
  const int answer = ReadNumber(read_end, -ECHILD);
  // Once it is gone its child has another parent, for sure.
  while (::waitpid(between, nullptr, 0) < 0 && errno == EINTR) {
  }
  return answer;
}

// Memory of this process that /proc shows to others.
struct Area {
  char* begin = nullptr;
  std::size_t size = 0;

  std::string_view text() const { return {begin, size}; }
};

struct Shown {
  Area arguments;
  Area environment;
};

Area AreaBetween(std::uintptr_t begin, std::uintptr_t end) {
  if (begin == 0 || end <= begin) return {};             // the kernel does not tell
  return {reinterpret_cast<char*>(begin), end - begin};  // NOLINT: it tells addresses as numbers
}

// Of /proc/self/stat, counted as proc(5) does: the first of arg_start, arg_end, env_start, env_end.
constexpr int kFirstAddress = 48;

Shown FindShown() {
  std::array<char, 4096> bytes{};
  const base::UniqueFd file(::open("/proc/self/stat", O_RDONLY | O_CLOEXEC));
  const ssize_t n = ::read(file.get(), bytes.data(), bytes.size());
  if (n <= 0) return {};
  std::string_view rest(bytes.data(), static_cast<std::size_t>(n));
  // The name may hold anything; the last parenthesis closes it, and the third field follows.
  rest.remove_prefix(std::min(rest.size(), rest.rfind(')') + 2));
  for (int i = 3; i < kFirstAddress; ++i) {
    rest.remove_prefix(std::min(rest.size(), rest.find(' ') + 1));
  }
  std::array<std::uintptr_t, 4> addresses{};
  for (std::uintptr_t& address : addresses) {
    const auto end = std::from_chars(rest.data(), rest.data() + rest.size(), address).ptr;
    rest.remove_prefix(static_cast<std::size_t>(end - rest.data()));
    if (rest.starts_with(' ')) rest.remove_prefix(1);
  }
  return {AreaBetween(addresses[0], addresses[1]), AreaBetween(addresses[2], addresses[3])};
}

bool ShowArguments(const Area& area, const std::vector<std::string>& arguments) {
  std::string text;
  for (const std::string& argument : arguments) text += argument + '\0';
  if (text.size() > area.size) return false;
  std::fill_n(area.begin, area.size, '\0');
  std::copy(text.begin(), text.end(), area.begin);
  return true;
}

bool ShowVariable(const Area& area, const std::string& name, const std::string& value) {
  const std::string first = name + '=';
  std::size_t at = first.size();
  if (!area.text().starts_with(first)) {
    const auto found = area.text().find('\0' + first);
    if (found == std::string_view::npos) return false;
    at = found + 1 + first.size();
  }
  if (area.text().find('\0', at) != at + value.size()) return false;
  std::copy(value.begin(), value.end(), area.begin + at);
  return true;
}

}  // namespace

void BindProcess(nb::module_& module) {
  module.def("fork_away", &ForkAway,
             "Forks a process whose parent is the nearest subreaper above this one. Its id; 0 in "
             "itself; a negated errno when there is none.");
  module.def(
      "die_with",
      [](int parent) {
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        return ::getppid() == parent;  // else it has died already
      },
      nb::arg("parent"), "Has this process killed when its parent ends; False when it has ended.");
  module.def(
      "show_as",
      [](const std::vector<std::string>& arguments, const std::string& name,
         const std::string& value) {
        const Shown shown = FindShown();
        return ShowVariable(shown.environment, name, value) &&
               ShowArguments(shown.arguments, arguments);
      },
      nb::arg("arguments"), nb::arg("name"), nb::arg("value"),
      "Changes what /proc shows of this process: its command line, and a variable for a value of "
      "the same length. False when there is no room for them.");
}

}  // namespace penstock::python
