#include "detect/node_totals.h"

#include <algorithm>
#include <cmath>

#include "detect/devices.h"
#include "resources/node.h"

namespace penstock::detect {
namespace {

// Ray's share of free memory for its object store, and its bounds, in bytes.
constexpr double kStoreShare = 0.3;
constexpr double kStoreMost = 200e9;

Status CheckKeys(const std::map<std::string, double>& resources) {
  for (const char* reserved : {"CPU", "GPU"}) {
    if (!resources.contains(reserved)) continue;
    return InvalidArgument(
        "Use the 'num_cpus' and 'num_gpus' keyword instead of 'CPU' and 'GPU' in 'resources' "
        "keyword");
  }
  for (const char* reserved : {"memory", "object_store_memory"}) {
    if (!resources.contains(reserved)) continue;
    return InvalidArgument("The resources dictionary must not contain the key '" +
                           std::string(reserved) + "'; use --memory or --object-store-memory");
  }
  return {};
}

}  // namespace

std::vector<Accelerators> Shown(std::vector<Accelerators> accelerators,
                                const base::Environment& environment) {
  for (Accelerators& family : accelerators) {
    const auto shown = ShownDevices(family.resource, environment);
    if (!shown || *shown >= family.devices.size()) continue;
    family.devices.resize(*shown);
    family.derivation += ", of which the environment shows " + std::to_string(*shown);
  }
  std::erase_if(accelerators, [](const Accelerators& family) { return family.devices.empty(); });
  return accelerators;
}

Detected DetectNode(const base::Environment& environment) {
  return {.cpus = DetectCpus("/", AffinityCpus()),
          .memory = DetectMemory("/"),
          .accelerators = Shown(DetectAccelerators({}, environment), environment)};
}

Result<resources::ResourceSet> NodeTotals(const DeclaredResources& declared,
                                          const std::map<std::string, double>& overrides,
                                          const Detected& detected, const std::string& ip,
                                          bool is_head) {
  if (Status bad = CheckKeys(declared.resources); !bad.ok()) return bad;
  std::map<std::string, double> totals = declared.resources;
  const auto available = static_cast<double>(detected.memory.available_bytes);
  const double store = declared.object_store_memory.value_or(
      std::floor(std::min(kStoreShare * available, kStoreMost)));
  totals["CPU"] = declared.num_cpus.value_or(detected.cpus.count);
  if (declared.num_gpus) totals["GPU"] = *declared.num_gpus;
  for (const Accelerators& family : detected.accelerators) {
    totals.try_emplace(family.resource, static_cast<double>(family.devices.size()));
    if (family.type.empty() || totals.at(family.resource) <= 0) continue;
    totals.try_emplace("accelerator_type:" + family.type, 1);
  }
  totals["object_store_memory"] = store;
  totals["memory"] = declared.memory.value_or(std::max(0.0, available - store));
  for (const auto& [name, amount] : overrides) totals[name] = amount;
  if (Status bad = resources::CheckNodeTotals(totals); !bad.ok()) return bad;
  resources::ResourceSet set;
  for (const auto& [name, amount] : totals) {
    const auto quantity = Quantity::FromDouble(amount);
    if (!quantity.ok()) return quantity.status();
    set.Set(name, *quantity);
  }
  set.Set("node:" + ip, kOneUnit);
  if (is_head) set.Set("node:__internal_head__", kOneUnit);
  return set;
}

}  // namespace penstock::detect
