#include "config/placement_options.h"

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>

#include "config/fields.h"
#include "resources/labels.h"

namespace penstock::config {
namespace {

constexpr std::pair<std::string_view, GroupStrategy> kStrategies[] = {
    {"PACK", GroupStrategy::kPack},
    {"SPREAD", GroupStrategy::kSpread},
    {"STRICT_PACK", GroupStrategy::kStrictPack},
    {"STRICT_SPREAD", GroupStrategy::kStrictSpread}};

Result<GroupStrategy> StrategyFrom(const Json& json) {
  const std::string name = json.is_string() ? json.get<std::string>() : PythonRepr(json);
  for (const auto& [known, strategy] : kStrategies) {
    if (name == known) return strategy;
  }
  return InvalidArgument("Invalid placement group strategy " + name +
                         ". Supported strategies are: {'PACK', 'SPREAD', 'STRICT_PACK', "
                         "'STRICT_SPREAD'}.");
}

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

Result<std::map<std::string, std::string>> LabelsFrom(const Json& json) {
  constexpr const char* kOption = "placement_group_bundle_label_selector";
  if (!json.is_object()) return FieldError(kOption, "must be a list of dictionaries", json);
  std::map<std::string, std::string> labels;
  for (const auto& [key, value] : json.items()) {
    auto text = TextField(std::string(kOption) + "." + key, value);
    if (!text.ok()) return text.status();
    labels.emplace(key, *std::move(text));
  }
  if (const auto selector = resources::LabelSelector::Parse(labels); !selector.ok()) {
    return selector.status();
  }
  return labels;
}

Status CheckLabels(const Json& labels, std::size_t bundles) {
  if (!labels.is_array() || (labels.size() != 1 && labels.size() != bundles)) {
    return FieldError("placement_group_bundle_label_selector",
                      "must be a list of one label selector, or of as many as there are bundles (" +
                          std::to_string(bundles) + ")",
                      labels);
  }
  for (const Json& one : labels) {
    if (const auto parsed = LabelsFrom(one); !parsed.ok()) return parsed.status();
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

Result<std::optional<PlacementGroupSpec>> ParsePlacementGroup(const Json& options) {
  if (!Has(options, "placement_group_bundles")) return std::optional<PlacementGroupSpec>();
  PlacementGroupSpec group;
  for (const Json& bundle : options.at("placement_group_bundles")) {
    auto& amounts = group.bundles.emplace_back();
    for (const auto& [name, value] : bundle.items()) {
      const auto amount = NumberField("placement_group_bundles." + name, value, {.least = 0});
      if (!amount.ok()) return amount.status();
      amounts.emplace(name, *amount);
    }
  }
  if (Has(options, "placement_group_strategy")) {
    const auto strategy = StrategyFrom(options.at("placement_group_strategy"));
    if (!strategy.ok()) return strategy.status();
    group.strategy = *strategy;
  }
  if (Has(options, "placement_group_bundle_label_selector")) {
    const Json& selectors = options.at("placement_group_bundle_label_selector");
    for (std::size_t i = 0; i < group.bundles.size(); ++i) {  // one stands for all
      auto labels = LabelsFrom(selectors.at(selectors.size() == 1 ? 0 : i));
      if (!labels.ok()) return labels.status();
      group.label_selectors.push_back(*std::move(labels));
    }
  }
  return std::optional(std::move(group));
}

Result<GangSpec> ParseGang(const Json& options) {
  const std::string path = "gang_scheduling_config.";
  if (!options.is_object() || !options.contains("gang_size")) {
    return FieldError(path + "gang_size", "Field required", options);
  }
  const auto size =
      WholeField(path + "gang_size", options.at("gang_size"), {.least = 1, .most = 1e6});
  if (!size.ok()) return size.status();
  GangSpec gang{.gang_size = static_cast<int>(*size)};
  const Json strategy = options.value("gang_placement_strategy", Json("PACK"));
  if (strategy != "PACK" && strategy != "SPREAD") {
    return FieldError(path + "gang_placement_strategy", "Input should be 'PACK' or 'SPREAD'",
                      strategy);
  }
  if (strategy == "SPREAD") gang.strategy = GroupStrategy::kSpread;
  const Json policy = options.value("runtime_failure_policy", Json("RESTART_GANG"));
  if (policy == "RESTART_REPLICA") {
    return Status(Code::kUnimplemented, path +
                                            "runtime_failure_policy: RESTART_REPLICA is not "
                                            "implemented, allowed is 'RESTART_GANG'");
  }
  if (policy != "RESTART_GANG") {
    return FieldError(path + "runtime_failure_policy", "Input should be 'RESTART_GANG'", policy);
  }
  return gang;
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
    const auto strategy = StrategyFrom(options.at("placement_group_strategy"));
    if (!strategy.ok()) return strategy.status();
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
