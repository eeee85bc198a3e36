#include "app/node_flags.h"

#include <nlohmann/json.hpp>
#include <optional>
#include <sstream>

namespace penstock::app {
namespace {

Status ReadResources(const std::string& text, std::map<std::string, double>& out) {
  const auto json = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) {
    return InvalidArgument(
        "--resources must be a JSON object of amounts, e.g. '{\"widget\": 2}', got '" + text + "'");
  }
  for (const auto& [name, amount] : json.items()) {
    if (!amount.is_number()) {
      return InvalidArgument("--resources: the amount of '" + name + "' must be a number, got " +
                             amount.dump());
    }
    out[name] = amount.get<double>();
  }
  return {};
}

Status ReadLabels(const std::string& text, resources::Labels& out) {
  std::istringstream parts(text);
  for (std::string part; std::getline(parts, part, ',');) {
    const auto equals = part.find('=');
    if (equals == std::string::npos) {
      return InvalidArgument("--labels must be KEY=VALUE,KEY=VALUE..., got '" + part + "'");
    }
    out[part.substr(0, equals)] = part.substr(equals + 1);
  }
  return resources::CheckNodeLabels(out);
}

}  // namespace

void NodeFlags::AddTo(CLI::App& to) {
  app = &to;
  to.add_option("--num-cpus", num_cpus, "CPUs of the node (default: detected)");
  to.add_option("--num-gpus", num_gpus, "GPUs of the node (default: none)");
  to.add_option("--memory", memory, "Memory to give away, in bytes (default: detected)");
  to.add_option("--object-store-memory", object_store_memory, "In bytes (default: 30% of memory)");
  to.add_option("--resources", resources, "Further resources, a JSON object");
  to.add_option("--labels", labels, "Labels, KEY=VALUE,...");
  to.add_option("--node-name", name, "Name shown for the node");
  to.add_option("--node-ip-address", ip, "Address shown for the node");
}

Status NodeFlags::Apply(NodeOptions& options) const {
  const auto given = [&](const char* flag, double value) {
    return app->count(flag) > 0 ? std::optional(value) : std::nullopt;
  };
  options.resources.num_cpus = given("--num-cpus", num_cpus);
  options.resources.num_gpus = given("--num-gpus", num_gpus);
  options.resources.memory = given("--memory", memory);
  options.resources.object_store_memory = given("--object-store-memory", object_store_memory);
  if (Status bad = ReadResources(resources, options.resources.resources); !bad.ok()) return bad;
  if (Status bad = ReadLabels(labels, options.labels); !bad.ok()) return bad;
  if (!name.empty()) options.name = name;
  if (!ip.empty()) options.ip = ip;
  return {};
}

std::vector<std::string> NodeFlags::Arguments() const {
  std::vector<std::string> arguments;
  for (const char* flag : {"--num-cpus", "--num-gpus", "--memory", "--object-store-memory",
                           "--resources", "--labels", "--node-name", "--node-ip-address"}) {
    for (const std::string& value : app->get_option(flag)->results()) {
      arguments.emplace_back(flag);
      arguments.push_back(value);
    }
  }
  return arguments;
}

}  // namespace penstock::app
