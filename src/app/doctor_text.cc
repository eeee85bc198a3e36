#include "app/doctor_text.h"

#include <fmt/format.h>

#include <vector>

namespace penstock::app {
namespace {

using nlohmann::json;

std::string Gibibytes(double bytes) { return fmt::format("{:.1f} GiB", bytes / (1 << 30)); }

json DeviceJson(const detect::Accelerator& device, std::size_t number) {
  return {{"id", device.id.empty() ? std::to_string(number) : device.id},
          {"name", device.name},
          {"memory_bytes", device.memory_bytes},
          {"numa_node", device.numa_node}};
}

std::string Row(const std::string& what, const std::string& amount, const std::string& how) {
  return fmt::format("{:<14}{:<12}{}\n", what, amount, how);
}

std::string DeviceText(const detect::Accelerator& device, std::size_t number) {
  std::string text = fmt::format("  {}", device.id.empty() ? std::to_string(number) : device.id);
  if (!device.name.empty()) text += "  " + device.name;
  if (device.memory_bytes > 0) {
    text += "  " + Gibibytes(static_cast<double>(device.memory_bytes));
  }
  if (device.numa_node >= 0) text += fmt::format("  NUMA node {}", device.numa_node);
  return text + "\n";
}

}  // namespace

json DoctorJson(const detect::Detected& detected) {
  json families = json::array();
  for (const detect::Accelerators& family : detected.accelerators) {
    json devices = json::array();
    for (const auto& device : family.devices) devices.push_back(DeviceJson(device, devices.size()));
    families.push_back({{"resource", family.resource},
                        {"vendor", family.vendor},
                        {"type", family.type},
                        {"derivation", family.derivation},
                        {"devices", devices}});
  }
  return {{"cpus", {{"count", detected.cpus.count}, {"derivation", detected.cpus.derivation}}},
          {"memory",
           {{"total_bytes", detected.memory.total_bytes},
            {"available_bytes", detected.memory.available_bytes}}},
          {"accelerators", families}};
}

std::string DoctorText(const detect::Detected& detected) {
  const auto free = static_cast<double>(detected.memory.available_bytes);
  const auto total = static_cast<double>(detected.memory.total_bytes);
  std::string text = Row("CPU", std::to_string(detected.cpus.count), detected.cpus.derivation) +
                     Row("memory", Gibibytes(free), "free of " + Gibibytes(total));
  for (const detect::Accelerators& family : detected.accelerators) {
    const std::string type = family.type.empty() ? "" : ", accelerator_type:" + family.type;
    text += Row(family.resource, std::to_string(family.devices.size()), family.derivation + type);
    for (std::size_t i = 0; i < family.devices.size(); ++i)
      text += DeviceText(family.devices[i], i);
  }
  if (detected.accelerators.empty()) {
    text += Row("accelerators", "none", "neither by NVML nor by a driver's files");
  }
  return text;
}

}  // namespace penstock::app
