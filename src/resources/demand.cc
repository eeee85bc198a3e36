#include "resources/demand.h"

#include <cmath>

#include "resources/families.h"

namespace penstock::resources {
namespace {

Result<Quantity> Amount(const std::string& name, double value) {
  if (value < 0) {
    return InvalidArgument("The quantity of resource " + name + " cannot be negative");
  }
  auto amount = Quantity::FromDouble(value);
  if (!amount.ok()) return InvalidArgument(name + ": " + amount.status().message());
  if (value > 0 && *amount == Quantity()) {
    return InvalidArgument("The precision of the fractional quantity of resource " + name +
                           " cannot go beyond 0.0001");
  }
  return amount;
}

Status Add(ResourceSet& set, const std::string& option, std::string_view resource, double value) {
  const auto amount = Amount(option, value);
  if (!amount.ok()) return amount.status();
  if (Status bad = CheckDeviceAmount(resource, *amount); !bad.ok()) return bad;
  set.Set(resource, *amount);
  return {};
}

Status CheckName(const std::string& name) {
  if (name == kCpu || name == kGpu) {
    return InvalidArgument(
        "Use the 'num_cpus' and 'num_gpus' keyword instead of 'CPU' and 'GPU' in 'resources' "
        "keyword");
  }
  if (name == kMemory || name == kObjectStoreMemory) {
    return InvalidArgument(
        "The resources dictionary must not contain the key 'memory' or 'object_store_memory'");
  }
  if (name.find("bundle") == 0) {
    return InvalidArgument("The resource should not include `bundle` which is reserved for Ray. " +
                           std::string("resources: '") + name + "'");
  }
  return {};
}

Status AddScalars(ResourceSet& set, const ReplicaResources& request) {
  const auto bytes = [](double value) { return std::trunc(value); };
  if (Status bad = Add(set, "num_cpus", kCpu, request.num_cpus.value_or(1)); !bad.ok()) return bad;
  if (Status bad = Add(set, "num_gpus", kGpu, request.num_gpus.value_or(0)); !bad.ok()) return bad;
  if (Status bad = Add(set, "memory", kMemory, bytes(request.memory.value_or(0))); !bad.ok()) {
    return bad;
  }
  return Add(set, "object_store_memory", kObjectStoreMemory,
             bytes(request.object_store_memory.value_or(0)));
}

Status AddSelectors(Demand& demand, const ReplicaResources& request) {
  demand.selectors.clear();
  auto wanted = request.fallback_label_selectors;
  wanted.insert(wanted.begin(), request.label_selector);
  for (const auto& one : wanted) {
    auto selector = LabelSelector::Parse(one);
    if (!selector.ok()) return selector.status();
    demand.selectors.push_back(*std::move(selector));
  }
  return {};
}

}  // namespace

Result<Demand> MakeDemand(const ReplicaResources& request) {
  Demand demand;
  demand.default_cpus = !request.num_cpus.has_value();
  for (const auto& [name, value] : request.resources) {
    if (Status bad = CheckName(name); !bad.ok()) return bad;
    if (Status bad = Add(demand.amounts, name, name, value); !bad.ok()) return bad;
  }
  if (Status bad = AddScalars(demand.amounts, request); !bad.ok()) return bad;
  if (!request.accelerator_type.empty()) {
    demand.amounts.Set("accelerator_type:" + request.accelerator_type, kAcceleratorTypeShare);
  }
  if (Status bad = AddSelectors(demand, request); !bad.ok()) return bad;
  return demand;
}

Result<Demand> MakeBundle(const std::map<std::string, double>& amounts,
                          const std::map<std::string, std::string>& labels) {
  Demand demand;
  for (const auto& [name, value] : amounts) {
    const bool bytes = name == kMemory || name == kObjectStoreMemory;
    if (Status bad = Add(demand.amounts, name, name, bytes ? std::trunc(value) : value);
        !bad.ok()) {
      return bad;
    }
  }
  auto selector = LabelSelector::Parse(labels);
  if (!selector.ok()) return selector.status();
  demand.selectors = {*std::move(selector)};
  return demand;
}

Demand AtLeast(Demand bundle, const Demand& demand) {
  for (const auto& [name, amount] : demand.amounts.amounts()) {
    if (amount > bundle.amounts.Get(name)) bundle.amounts.Set(name, amount);
  }
  return bundle;
}

}  // namespace penstock::resources
