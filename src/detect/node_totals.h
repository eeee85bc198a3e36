// The amounts a node declares when it joins.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/environment.h"
#include "detect/accelerators.h"
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

// What was detected.
struct Detected {
  Cpus cpus;
  Memory memory;
  std::vector<Accelerators> accelerators;  // of which the environment shows so many
};

// What this machine has and `environment` shows. Loads NVML if it is there.
Detected DetectNode(const base::Environment& environment);

// Leaves of each family as many as `environment` shows, which are known by its words then.
std::vector<Accelerators> Shown(std::vector<Accelerators> accelerators,
                                const base::Environment& environment);

// Whole amounts for everything, "node:<ip>" and, on the head, "node:__internal_head__"; one of
// "accelerator_type:<T>" where a type was detected. `overrides` is RAY_OVERRIDE_RESOURCES: it wins
// over `declared`, which wins over what was detected. kInvalidArgument with Ray's words. Source:
// behaviour specification, 3.3.
Result<resources::ResourceSet> NodeTotals(const DeclaredResources& declared,
                                          const std::map<std::string, double>& overrides,
                                          const Detected& detected, const std::string& ip,
                                          bool is_head);

}  // namespace penstock::detect
