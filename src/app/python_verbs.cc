// `penstock python` and `penstock shim`: Ray Serve scripts, unchanged.
#include <glob.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <vector>

#include "app/verbs.h"
#include "base/environment.h"
#include "base/file.h"

namespace penstock::app {
namespace {

// The folder that this program was installed to: <prefix>/bin/penstock.
std::string Prefix() {
  std::string path(4096, '\0');
  const auto n = ::readlink("/proc/self/exe", path.data(), path.size());
  path.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
  for (int i = 0; i < 2; ++i) path.erase(path.find_last_of('/'));
  return path;
}

// The shim beside the installed Python package; "" when there is none.
std::string ShimFolder() {
  glob_t found{};
  const std::string pattern = Prefix() + "/lib/python3*/site-packages/penstock/_shim";
  std::string folder;
  if (::glob(pattern.c_str(), 0, nullptr, &found) == 0) folder = found.gl_pathv[0];
  ::globfree(&found);
  return folder;
}

int NoShim() {
  std::fprintf(stderr, "penstock: the Python package is not installed beside this program (%s)\n",
               Prefix().c_str());
  return 1;
}

int RunPython(std::vector<std::string> arguments) {
  const std::string shim = ShimFolder();
  if (shim.empty()) return NoShim();
  const std::string before = base::GetEnv("PYTHONPATH");
  ::setenv("PYTHONPATH", (before.empty() ? shim : shim + ":" + before).c_str(), 1);
  std::string python = Prefix() + "/bin/python3";
  if (::access(python.c_str(), X_OK) != 0) python = "python3";
  arguments.insert(arguments.begin(), python);
  std::vector<char*> argv;
  argv.reserve(arguments.size() + 1);
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  ::execvp(argv[0], argv.data());
  std::perror(argv[0]);
  return 127;
}

}  // namespace

void AddPython(CLI::App& root, Action& chosen) {
  auto* verb = root.add_subcommand("python", "Run a Python script; `import ray` finds Penstock");
  verb->prefix_command();  // everything after the verb is the script's
  verb->callback([verb, &chosen] { chosen = [verb] { return RunPython(verb->remaining()); }; });
}

void AddShim(CLI::App& root, Action& chosen) {
  auto* verb = root.add_subcommand(
      "shim", "Print the folder that, on PYTHONPATH, makes `import ray` find Penstock");
  verb->callback([&chosen] {
    chosen = [] {
      const std::string shim = ShimFolder();
      if (shim.empty()) return NoShim();
      std::printf("%s\n", shim.c_str());
      return 0;
    };
  });
}

}  // namespace penstock::app
