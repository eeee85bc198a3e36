#include "config/placement_options.h"

#include <algorithm>
#include <array>
#include <string>
#include <string_view>

#include "config/fields.h"

namespace penstock::config {
namespace {

constexpr std::array<std::string_view, 4> kStrategies{"PACK", "SPREAD", "STRICT_PACK",
                                                      "STRICT_SPREAD"};

Status CheckBundles(const Json& bundles) {
  if (!bundles.is_array() || bundles.empty()) {
    return InvalidArgument(
        "Bundles must be a non-empty list of resource dictionaries. For example: "
        "`[{\"CPU\": 1.0}, {\"GPU\": 1.0}]`. Got " +
        (bundles.is_array() ? std::string("empty list") : PythonRepr(bundles)) + " instead.");
  }
  for (const Json& bundle : bundles) {
    if (!bundle.is_object() ||
        std::all_of(bundle.begin(), bundle.end(), [](const Json& n) { return n == 0; })) {
      return InvalidArgument(
          "Bundles cannot be an empty dictionary or resources with only 0 values. Bundles: " +
          PythonRepr(bundles));
    }
    for (const auto& [name, amount] : bundle.items()) {
      const auto number = NumberField("placement_group_bundles." + name, amount, {.least = 0});
      if (!number.ok()) return number.status();
    }
  }
  return {};
}

Status FirstBundleHolds(const Json& bundle, const std::string& option, const std::string& resource,
                        double amount) {
  double has = 0;
  if (bundle.contains(resource)) {
    const auto number = NumberField("placement_group_bundles." + resource, bundle.at(resource), {});
    if (!number.ok()) return number.status();
    has = *number;
  }
  if (amount <= has) return {};
  return InvalidArgument(
      "When using `placement_group_bundles`, the replica actor will be placed in the first "
      "bundle, so the resource requirements for the actor must be a subset of the first bundle. `" +
      option + "` for the actor is " + Json(amount).dump() + ", but the bundle only has " +
      Json(has).dump() + " `" + resource + "` specified.");
}

Status CheckFirstBundle(const Json& bundle, const ReplicaResources& replica) {
  if (Status bad = FirstBundleHolds(bundle, "num_cpus", "CPU", replica.num_cpus.value_or(1));
      !bad.ok()) {
    return bad;
  }
  if (Status bad = FirstBundleHolds(bundle, "num_gpus", "GPU", replica.num_gpus.value_or(0));
      !bad.ok()) {
    return bad;
  }
  for (const auto& [name, amount] : replica.resources) {
    if (Status bad = FirstBundleHolds(bundle, "resources", name, amount); !bad.ok()) return bad;
  }
  return {};
}

Status CheckLabels(const Json& labels, std::size_t bundles) {
  if (!labels.is_array() || (labels.size() != 1 && labels.size() != bundles)) {
    return FieldError("placement_group_bundle_label_selector",
                      "must be a list of one label selector, or of as many as there are bundles (" +
                          std::to_string(bundles) + ")",
                      labels);
  }
  return {};
}

Status NeedsBundles(const char* option) {
  return InvalidArgument(std::string("If `") + option +
                         "` is provided, `placement_group_bundles` must also be provided.");
}

}  // namespace

Result<std::optional<int>> ParseMaxReplicasPerNode(const Json& value) {
  if (value.is_null()) return std::optional<int>();
  if (!value.is_number_integer()) {
    return WrongType("Get invalid type '" + PythonType(value) +
                     "' for max_replicas_per_node. Expected None or an integer in the range of "
                     "[1, 100].");
  }
  const auto n = value.get<std::int64_t>();
  if (n < 1 || n > 100) {
    return InvalidArgument("Invalid max_replicas_per_node " + std::to_string(n) +
                           ". Valid values are None or an integer in the range of [1, 100].");
  }
  return std::optional<int>(static_cast<int>(n));
}

Status CheckPlacementGroup(const Json& options, const ReplicaResources& replica) {
  if (!Has(options, "placement_group_bundles")) {
    for (const char* option :
         {"placement_group_strategy", "placement_group_bundle_label_selector"}) {
      if (Has(options, option)) return NeedsBundles(option);
    }
    return {};
  }
  const Json& bundles = options.at("placement_group_bundles");
  if (Has(options, "max_replicas_per_node")) {
    return InvalidArgument(
        "Setting max_replicas_per_node is not allowed when placement_group_bundles is provided.");
  }
  if (Status bad = CheckBundles(bundles); !bad.ok()) return bad;
  if (Has(options, "placement_group_strategy")) {
    const Json& strategy = options.at("placement_group_strategy");
    const std::string name =
        strategy.is_string() ? strategy.get<std::string>() : PythonRepr(strategy);
    if (std::find(kStrategies.begin(), kStrategies.end(), name) == kStrategies.end()) {
      return InvalidArgument("Invalid placement group strategy " + name +
                             ". Supported strategies are: {'PACK', 'SPREAD', 'STRICT_PACK', "
                             "'STRICT_SPREAD'}.");
    }
  }
  if (Has(options, "placement_group_bundle_label_selector")) {
    if (Status bad =
            CheckLabels(options.at("placement_group_bundle_label_selector"), bundles.size());
        !bad.ok()) {
      return bad;
    }
  }
  return CheckFirstBundle(bundles.front(), replica);
}

}  // namespace penstock::config
