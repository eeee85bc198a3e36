#include "engine/local/environment.h"

#include <algorithm>
#include <vector>

#include "resources/families.h"
#include "resources/resource_set.h"

namespace penstock::engine::local {
namespace {

constexpr const char* kOmp = "OMP_NUM_THREADS";
// Ray's switch back to its older behaviour for replicas without devices.
constexpr const char* kOverrideOnZero = "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO";

std::string Joined(const std::vector<std::string>& parts) {
  std::string text;
  for (const std::string& part : parts) text += (text.empty() ? "" : ",") + part;
  return text;
}

bool IsOne(const Variables& variables, std::string_view name) {
  const auto found = variables.find(std::string(name));
  return found != variables.end() && found->second == "1";
}

void Decide(ReplicaEnvironment& out, const std::string& name, const std::string& value,
            const std::string& reason) {
  out.variables[name] = value;
  out.decided[name] = {value, reason};
}

void DecideThreads(ReplicaEnvironment& out, const Variables& node_environment,
                   const StartOrder& order) {
  if (order.runtime_env.env_vars.contains(kOmp)) {
    return Decide(out, kOmp, order.runtime_env.env_vars.at(kOmp), "set in runtime_env");
  }
  if (const auto set = node_environment.find(kOmp); set != node_environment.end()) {
    return Decide(out, kOmp, set->second, "set when the node was started");
  }
  const Quantity cpus = order.allocation.amounts.Get(resources::kCpu);
  if (order.default_cpus) return Decide(out, kOmp, "1", "num_cpus is not specified");
  if (cpus == Quantity()) return Decide(out, kOmp, "1", "no CPU is assigned");
  const auto threads = std::max<std::int64_t>(1, cpus.Floor());
  Decide(out, kOmp, std::to_string(threads), "max(1, floor(num_cpus=" + cpus.ToString() + "))");
}

// The bounds that libtpu needs beside the chips, for parts of a host of four
// (behaviour specification, 3.4).
void DecideTpuBounds(ReplicaEnvironment& out, std::size_t chips, std::size_t on_node) {
  if (chips == on_node) {
    out.variables.erase("TPU_VISIBLE_CHIPS");
    out.decided["TPU_VISIBLE_CHIPS"] = {"", "all chips are assigned"};
    return;
  }
  if (chips != 1 && chips != 2) return;
  const std::string reason = std::to_string(chips) + " of the host's chips";
  Decide(out, "TPU_CHIPS_PER_HOST_BOUNDS", chips == 1 ? "1,1,1" : "1,2,1", reason);
  Decide(out, "TPU_HOST_BOUNDS", "1,1,1", reason);
}

void DecideDevices(ReplicaEnvironment& out, const resources::NodeSpec& node,
                   const StartOrder& order) {
  const auto assigned = AssignedIds(node, order.allocation);
  for (const auto& [resource, total] : node.total.amounts()) {
    const auto* family = resources::FindFamily(resource, node.gpu_vendor);
    if (family == nullptr || family->visible_env.empty()) continue;
    const std::string name(family->visible_env);
    const auto ids = assigned.find(resource);
    if (ids == assigned.end()) {
      // Left as it is, unless Ray's older behaviour is asked for.
      if (IsOne(out.variables, kOverrideOnZero)) Decide(out, name, "", "no device is assigned");
      continue;
    }
    if (IsOne(out.variables, family->opt_out_env)) {
      const auto inherited = out.variables.find(name);
      out.decided[name] = {inherited == out.variables.end() ? "" : inherited->second,
                           "left alone: " + std::string(family->opt_out_env) + "=1"};
      continue;
    }
    std::vector<std::string> shown;
    for (const std::string& id : ids->second) shown.push_back(std::string(family->id_prefix) + id);
    Decide(out, name, Joined(shown), "assigned " + resource + " " + Joined(ids->second));
    if (resource == "TPU") {
      // A node that was shown some chips does not have the host's, however many it gives away.
      const bool all = !node.device_ids.contains(resource);
      DecideTpuBounds(out, ids->second.size(), all ? static_cast<std::size_t>(total.Floor()) : 0);
    }
  }
}

// What the replica imports from, before what the node's environment says.
void SetPythonPath(ReplicaEnvironment& out, const RuntimeEnv& env) {
  if (!env.working_dir.empty()) out.import_folders.push_back(env.working_dir);
  for (const std::string& module : env.py_modules) {
    out.import_folders.push_back(module.substr(0, module.find_last_of('/')));
  }
  if (out.import_folders.empty()) return;
  std::string path;
  for (const std::string& folder : out.import_folders) path += (path.empty() ? "" : ":") + folder;
  std::string& variable = out.variables["PYTHONPATH"];
  variable = variable.empty() ? path : path + ":" + variable;
}

}  // namespace

std::map<std::string, std::vector<std::string>> AssignedIds(
    const resources::NodeSpec& node, const resources::Allocation& allocation) {
  std::map<std::string, std::vector<std::string>> assigned;
  for (const auto& [resource, shares] : allocation.devices) {
    const auto named = node.device_ids.find(resource);
    for (const auto& share : shares) {
      const bool has_name = named != node.device_ids.end() && share.device < named->second.size();
      assigned[resource].push_back(has_name ? named->second[share.device]
                                            : std::to_string(share.device));
    }
  }
  return assigned;
}

ReplicaEnvironment MakeEnvironment(const Variables& node_environment,
                                   const resources::NodeSpec& node, const StartOrder& order) {
  ReplicaEnvironment out{.variables = node_environment};
  for (const auto& [name, value] : order.runtime_env.env_vars) out.variables[name] = value;
  DecideThreads(out, node_environment, order);
  DecideDevices(out, node, order);
  SetPythonPath(out, order.runtime_env);
  return out;
}

}  // namespace penstock::engine::local
