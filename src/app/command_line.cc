#include "app/command_line.h"

#include <CLI/CLI.hpp>

#include "app/verbs.h"

namespace penstock::app {

int Run(int argc, char** argv) {
  CLI::App root("Penstock: Ray Serve's API on a native engine, where resources are a fact.");
  root.require_subcommand(1);
  root.set_version_flag("--version", PENSTOCK_VERSION);
  Action chosen;
  for (const auto add : {AddStart, AddStop, AddStatus, AddExplain, AddDrain, AddDoctor, AddScale,
                         AddPython, AddShim, AddAutoscale, AddSimulate, AddRoles}) {
    add(root, chosen);
  }
  CLI11_PARSE(root, argc, argv);
  return chosen();
}

}  // namespace penstock::app
