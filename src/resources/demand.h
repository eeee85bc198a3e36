// What one replica asks for, checked with Ray's ranges and Ray's words.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "penstock/deployment.h"
#include "penstock/status.h"
#include "resources/labels.h"
#include "resources/resource_set.h"

namespace penstock::resources {

// What placement has to find on one node.
struct Demand {
  ResourceSet amounts;
  // Tried in order: the primary one, then the fallbacks. Never empty.
  std::vector<LabelSelector> selectors = {LabelSelector()};
  // The CPUs were not asked for, they are the default of one. The OMP rule tells these apart.
  bool default_cpus = false;

  friend bool operator==(const Demand&, const Demand&) = default;
};

// The share of "accelerator_type:X" that asking for type X takes; Ray's number.
inline constexpr Quantity kAcceleratorTypeShare = Quantity::Raw(10);

// Names of implicit per-node resources start so; a node has one unit of each without saying it.
inline constexpr std::string_view kImplicitPrefix = "node:__internal_implicit_resource_";

// kInvalidArgument, with Ray's message, for negative amounts, amounts below 1e-4, reserved
// names, amounts that a device family cannot give, and malformed selectors.
Result<Demand> MakeDemand(const ReplicaResources& request);

// What placement has to find for a bundle of a placement group: `amounts` by resource ("CPU",
// "GPU", ...; memory in bytes), on a node with these labels. Errors as of MakeDemand.
Result<Demand> MakeBundle(const std::map<std::string, double>& amounts,
                          const std::map<std::string, std::string>& labels);

// Every amount of `demand`, at least.
Demand AtLeast(Demand bundle, const Demand& demand);

}  // namespace penstock::resources
