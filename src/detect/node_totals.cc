#include "detect/node_totals.h"

#include <algorithm>
#include <cmath>

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

Result<resources::ResourceSet> NodeTotals(const DeclaredResources& declared,
                                          const std::map<std::string, double>& overrides,
                                          const Cpus& cpus, const Memory& memory,
                                          const std::string& ip, bool is_head) {
  if (Status bad = CheckKeys(declared.resources); !bad.ok()) return bad;
  std::map<std::string, double> totals = declared.resources;
  const auto available = static_cast<double>(memory.available_bytes);
  const double store = declared.object_store_memory.value_or(
      std::floor(std::min(kStoreShare * available, kStoreMost)));
  totals["CPU"] = declared.num_cpus.value_or(cpus.count);
  if (declared.num_gpus) totals["GPU"] = *declared.num_gpus;
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
