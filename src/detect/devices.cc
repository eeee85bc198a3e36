#include "detect/devices.h"

#include <sstream>
#include <string_view>

#include "resources/families.h"

namespace penstock::detect {
namespace {

using resources::Family;

// What hides every device in container images made for NVIDIA's runtime.
constexpr std::string_view kNoDevices = "NoDevFiles";

std::string_view Trim(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  return text;
}

std::vector<std::string> IdsIn(const std::string& variable, std::string_view prefix) {
  std::vector<std::string> ids;
  if (Trim(variable).empty() || variable == kNoDevices) return ids;
  std::istringstream parts(variable);
  for (std::string part; std::getline(parts, part, ',');) {
    std::string_view id = Trim(part);
    if (id.starts_with(prefix)) id.remove_prefix(prefix.size());
    ids.emplace_back(id);
  }
  return ids;
}

// The family of `resource` whose variable is set. Of several GPU vendors NVIDIA comes last, as
// where Ray detects them: its variable is set out of habit.
const Family* ShownFamily(const std::string& resource, const base::Environment& environment) {
  const Family* shown = nullptr;
  for (const Family& family : resources::Families()) {
    if (family.resource != resource || !environment.contains(std::string(family.visible_env))) {
      continue;
    }
    const bool only_habit =
        shown != nullptr && shown->vendor == "nvidia" && shown->visible_env != family.visible_env;
    if (shown == nullptr || only_habit) shown = &family;
  }
  return shown;
}

// ['2', '3'], as Ray shows a list.
std::string Quoted(const std::vector<std::string>& ids) {
  std::string text;
  for (const std::string& id : ids) text += (text.empty() ? "'" : ", '") + id + "'";
  return "[" + text + "]";
}

// Only where all that are declared were found, and have names.
void NameDetected(const Accelerators& found, const resources::ResourceSet& totals,
                  VisibleDevices& visible) {
  if (found.resource == "GPU") visible.gpu_vendor = found.vendor;
  const auto declared = static_cast<std::size_t>(totals.Get(found.resource).Floor());
  std::vector<std::string> ids;
  for (const Accelerator& device : found.devices) {
    if (!device.id.empty() && ids.size() < declared) ids.push_back(device.id);
  }
  if (declared > 0 && ids.size() == declared) visible.ids[found.resource] = std::move(ids);
}

}  // namespace

std::optional<std::size_t> ShownDevices(const std::string& resource,
                                        const base::Environment& environment) {
  const Family* family = ShownFamily(resource, environment);
  if (family == nullptr) return std::nullopt;
  return IdsIn(environment.at(std::string(family->visible_env)), family->id_prefix).size();
}

Result<VisibleDevices> NameDevices(const resources::ResourceSet& totals,
                                   const base::Environment& environment,
                                   const std::vector<Accelerators>& detected) {
  VisibleDevices visible;
  for (const Accelerators& found : detected) NameDetected(found, totals, visible);
  for (const auto& [resource, total] : totals.amounts()) {
    const Family* family = ShownFamily(resource, environment);
    if (family == nullptr) continue;
    const std::string variable(family->visible_env);
    auto ids = IdsIn(environment.at(variable), family->id_prefix);
    const auto declared = static_cast<std::size_t>(total.Floor());
    if (declared > ids.size()) {
      return InvalidArgument("Attempting to start raylet with " + total.ToString() + " " +
                             resource + ", but " + variable + " contains " + Quoted(ids) + ".");
    }
    ids.resize(declared);
    if (resource == "GPU") visible.gpu_vendor = family->vendor;
    visible.ids[resource] = std::move(ids);
  }
  return visible;
}

}  // namespace penstock::detect
