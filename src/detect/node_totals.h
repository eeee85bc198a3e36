// The amounts a node declares when it joins.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "detect/cpus.h"
#include "detect/memory.h"
#include "penstock/status.h"
#include "resources/resource_set.h"

namespace penstock::detect {

// What the user said on the command line; what is absent is detected.
struct DeclaredResources {
  std::optional<double> num_cpus;
  std::optional<double> num_gpus;
  std::optional<double> memory;               // bytes
  std::optional<double> object_store_memory;  // bytes
  std::map<std::string, double> resources;    // custom ones
};

// Whole amounts for everything, "node:<ip>" and, on the head, "node:__internal_head__".
// `overrides` is RAY_OVERRIDE_RESOURCES: it wins over `declared`. kInvalidArgument with Ray's
// words. Source: behaviour specification, 3.3.
Result<resources::ResourceSet> NodeTotals(const DeclaredResources& declared,
                                          const std::map<std::string, double>& overrides,
                                          const Cpus& cpus, const Memory& memory,
                                          const std::string& ip, bool is_head);

}  // namespace penstock::detect
