#include "process.h"

#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

namespace penstock::python {
namespace {

// Memory of this process that /proc shows to others.
struct Area {
  char* begin = nullptr;
  std::size_t size = 0;
};

// Of /proc/self/stat, counted as proc(5) does: arg_start, arg_end, env_start, env_end.
constexpr int kFirstAddress = 48;

char* Address(std::uintptr_t number) {
  return reinterpret_cast<char*>(number);  // NOLINT: the kernel tells addresses as numbers
}

// The area between two of these numbers; empty where the kernel does not tell.
Area ShownArea(int first) {
  std::ifstream file("/proc/self/stat");
  std::string text;
  std::getline(file, text);
  // The name may hold anything; the last parenthesis closes it, and the state is the third field.
  const auto close = text.rfind(')');
  if (close == std::string::npos) return {};
  std::istringstream fields(text.substr(close + 1));
  std::string skipped;
  for (int i = 3; i < first; ++i) fields >> skipped;
  std::uintptr_t begin = 0;
  std::uintptr_t end = 0;
  fields >> begin >> end;
  if (begin == 0 || end <= begin) return {};
  return {Address(begin), end - begin};
}

// False when it does not fit.
bool ShowCommand(const std::vector<std::string>& arguments) {
  std::string text;
  for (const std::string& argument : arguments) text += argument + '\0';
  const Area area = ShownArea(kFirstAddress);
  if (text.size() > area.size) return false;
  std::fill_n(area.begin, area.size, '\0');
  std::copy(text.begin(), text.end(), area.begin);
  return true;
}

// False when it is not there, or has a value of another length.
bool ShowVariable(const std::string& name, const std::string& value) {
  const Area area = ShownArea(kFirstAddress + 2);
  const std::string_view all(area.begin, area.size);
  const std::string start = '\0' + name + '=';
  const std::string first = name + '=';
  std::size_t at = first.size();
  if (!all.starts_with(first)) {
    const auto found = all.find(start);
    if (found == std::string_view::npos) return false;
    at = found + start.size();
  }
  if (all.find('\0', at) != at + value.size()) return false;
  std::copy(value.begin(), value.end(), area.begin + at);
  return true;
}

}  // namespace

void BindProcess(nb::module_& module) {
  module.def(
      "die_with",
      [](int parent) {
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        return ::getppid() == parent;  // else it has died already
      },
      nb::arg("parent"), "Has this process killed when its parent ends; False when it has ended.");
  module.def("show_command", &ShowCommand, nb::arg("arguments"),
             "Changes the command line that /proc shows; False when there is no room for it.");
  module.def("show_variable", &ShowVariable, nb::arg("name"), nb::arg("value"),
             "Changes a variable in the environment that /proc shows, for one of the same length; "
             "False when there is none.");
}

}  // namespace penstock::python
