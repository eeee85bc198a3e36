#include "config/actor_options.h"

#include <algorithm>
#include <array>

#include "config/fields.h"
#include "resources/demand.h"

namespace penstock::config {
namespace {

constexpr std::array<const char*, 9> kAllowed{
    "accelerator_type", "fallback_strategy", "label_selector",      "memory",     "num_cpus",
    "num_gpus",         "resources",         "object_store_memory", "runtime_env"};

Status WrongKeyword(const char* keyword, const char* wanted, const Json& value) {
  return WrongType(std::string("The type of keyword '") + keyword + "' must be (" + wanted +
                   "<class 'NoneType'>), but received type " + PythonType(value));
}

Status CheckKeys(const Json& options) {
  for (const auto& [key, value] : options.items()) {
    if (std::find(kAllowed.begin(), kAllowed.end(), key) != kAllowed.end()) continue;
    std::string allowed;
    for (const char* name : kAllowed)
      allowed += (allowed.empty() ? "'" : ", '") + std::string(name) + "'";
    return InvalidArgument("Specifying '" + key +
                           "' in ray_actor_options is not allowed. Allowed " + "options: {" +
                           allowed + "}");
  }
  return {};
}

Status ReadAmount(const Json& options, const char* name, std::optional<double>& amount) {
  if (!Has(options, name)) return {};
  const Json& value = options.at(name);
  if (value.is_boolean()) {
    amount = value.get<bool>() ? 1 : 0;  // Python's bool is an int
  } else if (value.is_number()) {
    amount = value.get<double>();
  } else {
    return WrongKeyword(name, "<class 'float'>, <class 'int'>, ", value);
  }
  return {};
}

Status ReadResources(const Json& options, ReplicaResources& out) {
  if (!Has(options, "resources")) return {};
  const Json& resources = options.at("resources");
  if (!resources.is_object()) return WrongKeyword("resources", "<class 'dict'>, ", resources);
  for (const auto& [name, amount] : resources.items()) {
    if (!amount.is_number() && !amount.is_boolean()) {
      return WrongType("The amount of resource '" + name +
                       "' must be a number, but received type " + PythonType(amount));
    }
    out.resources[name] = amount.is_boolean() ? (amount.get<bool>() ? 1 : 0) : amount.get<double>();
  }
  return {};
}

Result<std::map<std::string, std::string>> TextMap(const char* keyword, const Json& value) {
  if (!value.is_object()) return WrongKeyword(keyword, "<class 'dict'>, ", value);
  std::map<std::string, std::string> map;
  for (const auto& [key, text] : value.items()) {
    if (!text.is_string()) {
      return WrongType(std::string(keyword) + "['" + key + "']: expected string, got " +
                       PythonType(text));
    }
    map.emplace(key, text.get<std::string>());
  }
  return map;
}

Status ReadFallbacks(const Json& options, ReplicaResources& out) {
  if (!Has(options, "fallback_strategy")) return {};
  const Json& strategies = options.at("fallback_strategy");
  if (!strategies.is_array())
    return WrongKeyword("fallback_strategy", "<class 'list'>, ", strategies);
  for (const Json& strategy : strategies) {
    if (!strategy.is_object()) {
      return WrongType("Each entry of fallback_strategy must be a dictionary, but received type " +
                       PythonType(strategy));
    }
    for (const auto& [key, value] : strategy.items()) {
      if (key == "label_selector") continue;
      return InvalidArgument("Unsupported option found: '" + key +
                             "'. Only ['label_selector'] is currently supported.");
    }
    if (!strategy.contains("label_selector")) continue;
    auto selector = TextMap("label_selector", strategy.at("label_selector"));
    if (!selector.ok()) return selector.status();
    out.fallback_label_selectors.push_back(*std::move(selector));
  }
  return {};
}

Status ReadSelectors(const Json& options, ReplicaResources& out) {
  if (Has(options, "label_selector")) {
    auto selector = TextMap("label_selector", options.at("label_selector"));
    if (!selector.ok()) return selector.status();
    out.label_selector = *std::move(selector);
  }
  return ReadFallbacks(options, out);
}

Status ReadTexts(const Json& options, ReplicaResources& out) {
  if (Has(options, "accelerator_type")) {
    const Json& type = options.at("accelerator_type");
    if (!type.is_string()) return WrongKeyword("accelerator_type", "<class 'str'>, ", type);
    out.accelerator_type = type.get<std::string>();
  }
  if (Has(options, "runtime_env") && !options.at("runtime_env").is_object()) {
    return WrongKeyword("runtime_env", "<class 'dict'>, ", options.at("runtime_env"));
  }
  return {};
}

Status ReadEnvVars(const Json& env_vars, RuntimeEnv& out) {
  if (!env_vars.is_object()) {
    return FieldError("runtime_env['env_vars']", "must be a dictionary of strings", env_vars);
  }
  for (const auto& [name, value] : env_vars.items()) {
    if (!value.is_string()) {
      return FieldError("runtime_env['env_vars']['" + name + "']", "must be a string", value);
    }
    out.env_vars.emplace(name, value.get<std::string>());
  }
  return {};
}

Status ReadPyModules(const Json& modules, RuntimeEnv& out) {
  if (!modules.is_array())
    return FieldError("runtime_env['py_modules']", "must be a list", modules);
  for (const Json& module : modules) {
    if (!module.is_string()) {
      return FieldError("runtime_env['py_modules']", "must be a list of folders", modules);
    }
    out.py_modules.push_back(module.get<std::string>());
  }
  return {};
}

}  // namespace

Result<ReplicaResources> ParseActorOptions(const Json& options) {
  ReplicaResources out;
  if (options.is_null()) return out;
  if (!options.is_object()) {
    return WrongType("Got invalid type \"" + PythonType(options) +
                     "\" for ray_actor_options. Expected a dictionary.");
  }
  for (Status bad :
       {CheckKeys(options), ReadAmount(options, "num_cpus", out.num_cpus),
        ReadAmount(options, "num_gpus", out.num_gpus), ReadAmount(options, "memory", out.memory),
        ReadAmount(options, "object_store_memory", out.object_store_memory),
        ReadResources(options, out), ReadTexts(options, out), ReadSelectors(options, out)}) {
    if (!bad.ok()) return bad;
  }
  if (const auto demand = resources::MakeDemand(out); !demand.ok()) return demand.status();
  return out;
}

Result<RuntimeEnv> ParseRuntimeEnv(const Json& runtime_env) {
  RuntimeEnv out;
  if (runtime_env.is_null()) return out;
  for (const auto& [key, value] : runtime_env.items()) {
    Status bad;
    if (key == "env_vars") {
      bad = ReadEnvVars(value, out);
    } else if (key == "working_dir") {
      auto text = TextField("runtime_env['working_dir']", value);
      if (!text.ok()) return text.status();
      out.working_dir = *std::move(text);
    } else if (key == "py_modules") {
      bad = ReadPyModules(value, out);
    } else if (key != "excludes" && key != "config") {
      bad = Status(Code::kUnimplemented, "runtime_env['" + key +
                                             "'] is not supported yet; supported are env_vars, " +
                                             "working_dir and py_modules");
    }
    if (!bad.ok()) return bad;
  }
  return out;
}

}  // namespace penstock::config
