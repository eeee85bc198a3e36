#include <CLI/CLI.hpp>

#include "app/verbs.h"

int main(int argc, char** argv) {
  CLI::App root("Penstock: Ray Serve's API on a native engine, where resources are a fact.");
  root.require_subcommand(1);
  root.set_version_flag("--version", PENSTOCK_VERSION);
  penstock::app::Action chosen;
  for (const auto add :
       {penstock::app::AddStart, penstock::app::AddStop, penstock::app::AddStatus,
        penstock::app::AddPython, penstock::app::AddShim, penstock::app::AddRoles}) {
    add(root, chosen);
  }
  CLI11_PARSE(root, argc, argv);
  return chosen();
}
