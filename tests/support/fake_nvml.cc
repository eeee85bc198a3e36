// A stand-in for NVIDIA's management library, by FAKE_NVML: one line for each GPU, of fields
// between bars: uuid, name, bytes, PCI id, "mig" or "", and the parts as uuid=bytes between commas.
// A line "lost" is a GPU that does not answer; a first line "error N" makes the start fail with N.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <sstream>
#include <string>
#include <vector>

namespace {

struct Device {
  std::string uuid, name, bytes, pci, mig;
  std::vector<Device> parts;
  bool lost = false;
};

struct PciInfo {
  char bus_id_legacy[16];
  unsigned domain, bus, device, pci_device_id, pci_subsystem_id;
  char bus_id[32];
};

struct Memory {
  unsigned long long total, free, used;
};

std::vector<Device>& Devices() {
  static std::vector<Device> devices;
  return devices;
}

Device Parse(const std::string& line) {
  Device device;
  std::istringstream fields(line);
  for (std::string* field : {&device.uuid, &device.name, &device.bytes, &device.pci, &device.mig}) {
    std::getline(fields, *field, '|');
  }
  for (std::string part; std::getline(fields, part, ',');) {
    const auto equals = part.find('=');
    device.parts.push_back({.uuid = part.substr(0, equals), .bytes = part.substr(equals + 1)});
  }
  device.lost = line == "lost";
  return device;
}

int Copy(const std::string& text, char* to, std::size_t size) {
  std::snprintf(to, size, "%s", text.c_str());
  return 0;
}

const Device& At(void* device) { return *static_cast<Device*>(device); }

constexpr int kNotFound = 6;
constexpr int kNotSupported = 3;
constexpr int kLost = 15;

}  // namespace

extern "C" {

int nvmlInit_v2() {
  Devices().clear();
  const char* text = std::getenv("FAKE_NVML");
  std::istringstream lines(text == nullptr ? "" : text);
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("error ")) return std::atoi(line.c_str() + 6);
    Devices().push_back(Parse(line));
  }
  return 0;
}

int nvmlShutdown() {
  Devices().clear();
  return 0;
}

const char* nvmlErrorString(int error) {
  return error == 9 ? "Driver Not Loaded" : "Unknown Error";
}

int nvmlDeviceGetCount_v2(unsigned* count) {
  *count = static_cast<unsigned>(Devices().size());
  return 0;
}

int nvmlDeviceGetHandleByIndex_v2(unsigned index, void** device) {
  if (index >= Devices().size()) return kNotFound;
  *device = &Devices()[index];
  return Devices()[index].lost ? kLost : 0;
}

int nvmlDeviceGetUUID(void* device, char* to, unsigned size) {
  return Copy(At(device).uuid, to, size);
}
int nvmlDeviceGetName(void* device, char* to, unsigned size) {
  return Copy(At(device).name, to, size);
}

int nvmlDeviceGetMemoryInfo(void* device, Memory* memory) {
  memory->total = std::strtoull(At(device).bytes.c_str(), nullptr, 10);
  return 0;
}

int nvmlDeviceGetPciInfo_v3(void* device, PciInfo* info) {
  return Copy(At(device).pci, info->bus_id, sizeof info->bus_id);
}

int nvmlDeviceGetMigMode(void* device, unsigned* current, unsigned* pending) {
  if (At(device).mig.empty() && At(device).parts.empty()) return kNotSupported;
  *current = *pending = At(device).mig == "mig" ? 1 : 0;
  return 0;
}

// Numbers of parts have gaps: every other one is used.
int nvmlDeviceGetMaxMigDeviceCount(void* device, unsigned* count) {
  *count = 2 * static_cast<unsigned>(At(device).parts.size());
  return 0;
}

int nvmlDeviceGetMigDeviceHandleByIndex(void* device, unsigned index, void** part) {
  if (index % 2 == 0) return kNotFound;
  *part = &static_cast<Device*>(device)->parts[index / 2];
  return 0;
}

}  // extern "C"
