// The flags by which a node says what it has: the same for `start` and the `node` role.
#pragma once

#include <CLI/CLI.hpp>
#include <memory>
#include <string>
#include <vector>

#include "app/roles.h"
#include "penstock/status.h"

namespace penstock::app {

struct NodeFlags {
  double num_cpus = -1;
  double num_gpus = -1;
  double memory = -1;               // bytes
  double object_store_memory = -1;  // bytes
  std::string resources = "{}";     // JSON
  std::string labels;               // "k=v,k=v"
  std::string name;
  std::string ip;
  CLI::App* app = nullptr;

  // Adds the flags to `to`, which tells later which of them were given.
  void AddTo(CLI::App& to);

  // Fills resources, labels, name and ip of `options`. kInvalidArgument naming the flag.
  Status Apply(NodeOptions& options) const;

  // The same flags again, for another process.
  std::vector<std::string> Arguments() const;
};

}  // namespace penstock::app
