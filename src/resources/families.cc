#include "resources/families.h"

#include <array>

namespace penstock::resources {
namespace {

constexpr std::array<int, 4> kChipCounts{1, 2, 4, 8};

bool IsChipCount(Quantity amount) {
  for (const int count : kChipCounts) {
    if (amount == Quantity::Units(count)) return true;
  }
  return false;
}

std::string WholeMessage(std::string_view resource, const std::string& amount) {
  const std::string name(resource);
  const std::string tail = " The specified quantity " + amount + " is invalid.";
  if (resource == "FURIOSA" || resource == "MBLT") {
    const std::string maker = resource == "FURIOSA" ? "Furiosa" : "Mobilint";
    return name + " resource quantity must be a whole number. " + maker +
           " NPUs do not support fractional resource sharing." + tail;
  }
  if (resource == "TTNPU") return name + " resource quantity (" + amount + ") must be an integer.";
  return name + " resource quantity must be whole numbers." + tail;
}

}  // namespace

const std::vector<Family>& Families() {
  using Rule = Family::Rule;
  static const std::vector<Family> families = {
      {"nvidia", "GPU", "CUDA_VISIBLE_DEVICES", "RAY_EXPERIMENTAL_NOSET_CUDA_VISIBLE_DEVICES", "",
       Rule::kShare},
      {"amd", "GPU", "HIP_VISIBLE_DEVICES", "RAY_EXPERIMENTAL_NOSET_HIP_VISIBLE_DEVICES", "",
       Rule::kShare},
      {"intel", "GPU", "ZE_AFFINITY_MASK", "RAY_EXPERIMENTAL_NOSET_ZE_AFFINITY_MASK", "",
       Rule::kShare},
      {"metax", "GPU", "CUDA_VISIBLE_DEVICES", "RAY_EXPERIMENTAL_NOSET_CUDA_VISIBLE_DEVICES", "",
       Rule::kShare},
      {"apple", "GPU", "", "", "", Rule::kShare},
      {"google", "TPU", "TPU_VISIBLE_CHIPS", "RAY_EXPERIMENTAL_NOSET_TPU_VISIBLE_CHIPS", "",
       Rule::kChips},
      {"aws", "neuron_cores", "NEURON_RT_VISIBLE_CORES",
       "RAY_EXPERIMENTAL_NOSET_NEURON_RT_VISIBLE_CORES", "", Rule::kWhole},
      {"habana", "HPU", "HABANA_VISIBLE_MODULES", "RAY_EXPERIMENTAL_NOSET_HABANA_VISIBLE_MODULES",
       "", Rule::kWhole},
      {"huawei", "NPU", "ASCEND_RT_VISIBLE_DEVICES",
       "RAY_EXPERIMENTAL_NOSET_ASCEND_RT_VISIBLE_DEVICES", "", Rule::kShare},
      {"rebellions", "RBLN", "RBLN_DEVICES", "RAY_EXPERIMENTAL_NOSET_RBLN_RT_VISIBLE_DEVICES", "",
       Rule::kWhole},
      {"furiosa", "FURIOSA", "FURIOSA_DEVICES", "RAY_EXPERIMENTAL_NOSET_FURIOSA_DEVICES",
       "npu:", Rule::kWhole},
      {"mobilint", "MBLT", "QBRUNTIME_VISIBLE_DEVICES",
       "RAY_EXPERIMENTAL_NOSET_MBLT_RT_VISIBLE_DEVICES", "", Rule::kWhole},
      {"tenstorrent", "TTNPU", "TT_VISIBLE_DEVICES",
       "RAY_EXPERIMENTAL_NOSET_TENSTORRENT_VISIBLE_DEVICES", "", Rule::kWhole},
  };
  return families;
}

const Family* FindFamily(std::string_view resource, std::string_view vendor) {
  const Family* first = nullptr;
  for (const Family& family : Families()) {
    if (family.resource != resource) continue;
    if (family.vendor == vendor) return &family;
    if (first == nullptr) first = &family;
  }
  return first;
}

bool IsDeviceResource(std::string_view resource) { return FindFamily(resource) != nullptr; }

Status CheckDeviceAmount(std::string_view resource, Quantity amount) {
  const Family* family = FindFamily(resource);
  if (family == nullptr || amount == Quantity()) return {};
  if (family->rule == Family::Rule::kChips && !IsChipCount(amount)) {
    return InvalidArgument("The number of requested '" + std::string(resource) + "' was set to " +
                           amount.ToString() +
                           " which is not a supported chip configuration. Supported configs: "
                           "(1, 2, 4, 8)");
  }
  if (family->rule == Family::Rule::kWhole && !amount.IsWhole()) {
    return InvalidArgument(WholeMessage(resource, amount.ToString()));
  }
  return {};
}

std::optional<std::string> ImpossibleDeviceAmount(std::string_view resource, Quantity amount) {
  if (!IsDeviceResource(resource) || amount <= kOneUnit || amount.IsWhole()) return std::nullopt;
  return std::string(resource) +
         " resource quantities >1 must be whole numbers. The specified quantity " +
         amount.ToString() + " is invalid.";
}

}  // namespace penstock::resources
