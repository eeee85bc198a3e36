// The verbs for people. Each adds its flags to the command line and returns what it does.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>

namespace penstock::app {

// What a chosen verb does; returns the exit status.
using Action = std::function<int()>;

void AddStart(CLI::App& root, Action& chosen);
void AddStop(CLI::App& root, Action& chosen);
void AddDrain(CLI::App& root, Action& chosen);
void AddStatus(CLI::App& root, Action& chosen);
void AddExplain(CLI::App& root, Action& chosen);
void AddDoctor(CLI::App& root, Action& chosen);
void AddScale(CLI::App& root, Action& chosen);
void AddPython(CLI::App& root, Action& chosen);
void AddShim(CLI::App& root, Action& chosen);
void AddAutoscale(CLI::App& root, Action& chosen);
void AddSimulate(CLI::App& root, Action& chosen);

// The roles that Penstock starts by itself; hidden from the help.
void AddRoles(CLI::App& root, Action& chosen);

}  // namespace penstock::app
