#include "detect/accelerators.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <optional>
#include <sstream>
#include <utility>

#include "base/file.h"
#include "detect/cgroup.h"
#include "detect/nvml.h"

namespace penstock::detect {
namespace {

constexpr const char* kGoogle = "0x1ae0";
constexpr const char* kHabana = "0x1da3";

// The number that follows `prefix`, when that and nothing else is the name.
std::optional<int> NumberAfter(const std::string& name, const std::string& prefix) {
  if (!name.starts_with(prefix)) return std::nullopt;
  int number = 0;
  const char* first = name.data() + prefix.size();
  const char* last = name.data() + name.size();
  const auto [end, error] = std::from_chars(first, last, number);
  return error == std::errc() && end == last && number >= 0 ? std::optional(number) : std::nullopt;
}

// Numbers of the entries of `folder` that are called `prefix` and a number, in order.
std::vector<int> Numbered(const std::string& folder, const std::string& prefix) {
  std::vector<int> numbers;
  for (const std::string& name : base::ListDir(folder)) {
    if (const auto number = NumberAfter(name, prefix)) numbers.push_back(*number);
  }
  std::sort(numbers.begin(), numbers.end());
  return numbers;
}

int WholeIn(const std::string& path, int otherwise) {
  int number = otherwise;
  std::istringstream(FirstLine(path)) >> number;
  return number;
}

std::string Times(std::size_t count, const std::string& what) {
  return std::to_string(count) + " x " + what;
}

// ---- those whose driver makes one file for each -------------------------------------------------

struct DeviceFiles {
  const char* resource;
  const char* vendor;
  const char* folder;
  const char* prefix;
  const char* type;
};

constexpr DeviceFiles kDeviceFiles[] = {
    {"HPU", "habana", "dev", "hl", "Intel-GAUDI"},
    {"NPU", "huawei", "dev", "davinci", ""},
    {"RBLN", "rebellions", "dev", "rbln", ""},
    {"FURIOSA", "furiosa", "dev/rngd", "npu", "FURIOSA_RNGD"},
    {"MBLT", "mobilint", "dev", "aries", "MOBILINT_ARIES"},
    {"MBLT", "mobilint", "dev", "regulus-npu", "MOBILINT_REGULUS"},
    {"TTNPU", "tenstorrent", "dev/tenstorrent", "", ""},
};

std::optional<Accelerators> ByFiles(const std::string& root, const DeviceFiles& files) {
  const auto numbers = Numbered(root + files.folder, files.prefix);
  if (numbers.empty()) return std::nullopt;
  Accelerators found{.resource = files.resource, .vendor = files.vendor, .type = files.type};
  found.devices.resize(numbers.size());
  found.derivation =
      Times(numbers.size(), std::string("/") + files.folder + "/" + files.prefix + "*");
  return found;
}

// ---- families with places of their own ----------------------------------------------------------

// Gaudi's newer driver shares /dev/accel with others; sysfs tells whose a file is.
std::optional<Accelerators> Gaudi(const std::string& root) {
  Accelerators found{.resource = "HPU", .vendor = "habana", .type = "Intel-GAUDI"};
  for (const int number : Numbered(root + "dev/accel", "accel")) {
    const std::string device = root + "sys/class/accel/accel" + std::to_string(number) + "/device/";
    if (FirstLine(device + "vendor") != kHabana) continue;
    found.devices.push_back({.numa_node = WholeIn(device + "numa_node", -1)});
  }
  if (found.devices.empty()) return std::nullopt;
  found.derivation = Times(found.devices.size(), "/dev/accel/accel* of Habana");
  return found;
}

// Chips with a driver of their own, else those that are passed through by VFIO.
std::optional<Accelerators> Tpu(const std::string& root, const base::Environment& environment) {
  Accelerators found{.resource = "TPU", .vendor = "google"};
  std::size_t count = Numbered(root + "dev", "accel").size();
  if (count > 0) {
    found.derivation = Times(count, "/dev/accel*");
  } else {
    for (const std::string& device : base::ListDir(root + "sys/bus/pci/devices")) {
      if (FirstLine(root + "sys/bus/pci/devices/" + device + "/vendor") == kGoogle) ++count;
    }
    count = std::min(count, Numbered(root + "dev/vfio", "").size());
    found.derivation = Times(count, "/dev/vfio/* of Google");
  }
  if (count == 0) return std::nullopt;
  found.devices.resize(count);
  // "v4-8": generation and size.
  const auto type = environment.find("TPU_ACCELERATOR_TYPE");
  if (type != environment.end() && type->second.starts_with("v")) {
    std::string generation = type->second.substr(1, type->second.find('-') - 1);
    std::transform(generation.begin(), generation.end(), generation.begin(), ::toupper);
    found.type = "TPU-V" + generation;
  }
  return found;
}

// What is given away are the cores of each chip.
std::optional<Accelerators> Neuron(const std::string& root) {
  Accelerators found{.resource = "neuron_cores", .vendor = "aws", .type = "aws-neuron-core"};
  const auto chips = Numbered(root + "dev", "neuron");
  for (const int chip : chips) {
    const std::string folder =
        root + "sys/devices/virtual/neuron_device/neuron" + std::to_string(chip) + "/";
    const int cores = WholeIn(folder + "core_count", 0);
    found.devices.resize(found.devices.size() + static_cast<std::size_t>(std::max(cores, 0)));
  }
  if (found.devices.empty()) return std::nullopt;
  found.derivation = Times(found.devices.size(), "core of " + Times(chips.size(), "/dev/neuron*"));
  return found;
}

// By what the driver calls a node of its topology: one with SIMD units is a GPU.
std::optional<Accelerators> Amd(const std::string& root) {
  static const std::map<int, std::string> kTypes = {
      {0x66a1, "AMD-Instinct-MI50"},       {0x738c, "AMD-Instinct-MI100"},
      {0x7408, "AMD-Instinct-MI250X"},     {0x740c, "AMD-Instinct-MI250X-MI250"},
      {0x740f, "AMD-Instinct-MI210"},      {0x74a0, "AMD-Instinct-MI300A"},
      {0x74a1, "AMD-Instinct-MI300X-OAM"}, {0x74a2, "AMD-Instinct-MI308X-OAM"},
      {0x74a5, "AMD-Instinct-MI325X-OAM"}, {0x74a9, "AMD-Instinct-MI300X-HF"},
  };
  Accelerators found{.resource = "GPU", .vendor = "amd"};
  const std::string nodes = root + "sys/class/kfd/kfd/topology/nodes";
  for (const int node : Numbered(nodes, "")) {
    const auto text = base::ReadFile(nodes + "/" + std::to_string(node) + "/properties");
    if (!text.ok()) continue;
    std::map<std::string, long long> properties;
    std::istringstream lines(*text);
    std::string name;
    long long value = 0;
    while (lines >> name >> value) properties[name] = value;
    if (properties["simd_count"] <= 0) continue;
    const auto type = kTypes.find(static_cast<int>(properties["device_id"]));
    if (type != kTypes.end() && found.type.empty()) found.type = type->second;
    found.devices.push_back({.name = type == kTypes.end() ? "" : type->second});
  }
  if (found.devices.empty()) return std::nullopt;
  found.derivation = Times(found.devices.size(), "GPU in the topology of AMD's driver");
  return found;
}

int NumaNodeOf(const std::string& root, const std::string& pci) {
  return pci.empty() ? -1 : WholeIn(root + "sys/bus/pci/devices/" + pci + "/numa_node", -1);
}

// Where any GPU is divided (MIG), devices are known by their uuids: CUDA counts one part only.
std::optional<Accelerators> Nvidia(const AcceleratorSources& sources) {
  if (sources.nvml.empty()) return std::nullopt;
  const auto gpus = NvidiaGpus(sources.nvml);
  if (!gpus.ok() || gpus->empty()) return std::nullopt;
  Accelerators found{.resource = "GPU", .vendor = "nvidia", .type = NvidiaType(gpus->front().name)};
  const bool divided =
      std::any_of(gpus->begin(), gpus->end(), [](const NvidiaGpu& gpu) { return gpu.mig; });
  std::size_t parts = 0;
  for (const NvidiaGpu& gpu : *gpus) {
    const int numa_node = NumaNodeOf(sources.root, gpu.pci);
    if (!gpu.mig) {
      found.devices.push_back({divided ? gpu.uuid : "", gpu.name, gpu.memory_bytes, numa_node});
      continue;
    }
    for (const MigInstance& part : gpu.instances) {
      found.devices.push_back({part.uuid, gpu.name + " MIG", part.memory_bytes, numa_node});
      ++parts;
    }
  }
  found.derivation = Times(gpus->size(), gpus->front().name + " by NVML");
  if (divided) found.derivation += ", " + std::to_string(parts) + " of the devices are MIG parts";
  return found.devices.empty() ? std::nullopt : std::optional(std::move(found));
}

}  // namespace

std::vector<Accelerators> DetectAccelerators(const AcceleratorSources& sources,
                                             const base::Environment& environment) {
  const std::string& root = sources.root;
  std::vector<std::optional<Accelerators>> candidates = {
      Amd(root), Nvidia(sources), Tpu(root, environment), Neuron(root), Gaudi(root)};
  for (const DeviceFiles& files : kDeviceFiles) candidates.push_back(ByFiles(root, files));
  std::vector<Accelerators> all;
  for (auto& found : candidates) {
    const bool news = found && std::none_of(all.begin(), all.end(), [&](const Accelerators& one) {
                        return one.resource == found->resource;
                      });
    if (news) all.push_back(*std::move(found));
  }
  return all;
}

}  // namespace penstock::detect
