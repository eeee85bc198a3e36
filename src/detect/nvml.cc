#include "detect/nvml.h"

#include <dlfcn.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <memory>
#include <sstream>
#include <utility>

namespace penstock::detect {
namespace {

// The few declarations of NVML that are needed; its interface keeps what it has once had.
using Device = void*;
constexpr int kSuccess = 0;
constexpr int kDriverNotLoaded = 9;

struct Memory {
  unsigned long long total, free, used;
};

struct PciInfo {
  char bus_id_legacy[16];
  unsigned domain, bus, device, pci_device_id, pci_subsystem_id;
  char bus_id[32];
};

constexpr std::size_t kText = 96;  // bytes: NVML's limit for names and uuids

template <class Function>
struct Symbol;
template <class... Arguments>
struct Symbol<int(Arguments...)> {
  int (*call)(Arguments...) = nullptr;
  // The library's error when it has no such function: it is an old one.
  int operator()(Arguments... arguments) const {
    constexpr int kFunctionNotFound = 13;
    return call == nullptr ? kFunctionNotFound : call(arguments...);
  }
};

// The library, initialised; shut down at the end.
class Library {
 public:
  static Result<std::unique_ptr<Library>> Open(const std::string& path) {
    auto library = std::make_unique<Library>();
    library->handle_ = ::dlopen(path.c_str(), RTLD_LAZY | RTLD_LOCAL);
    if (library->handle_ == nullptr) return Status(Code::kNotFound, "no " + path);
    const int error = library->Load();
    if (error == kSuccess) {
      library->began_ = true;
      return library;
    }
    const Code code = error == kDriverNotLoaded ? Code::kNotFound : Code::kInternal;
    return Status(code, path + ": " + library->Words(error));
  }

  Library() = default;
  ~Library() {
    if (began_) shutdown_();
    if (handle_ != nullptr) ::dlclose(handle_);
  }
  Library(const Library&) = delete;
  Library& operator=(const Library&) = delete;

  std::string Words(int error) const {
    const char* words = error_string_ == nullptr ? nullptr : error_string_(error);
    return words == nullptr ? "error " + std::to_string(error) : words;
  }

  Symbol<int(unsigned*)> count;
  Symbol<int(unsigned, Device*)> by_index;
  Symbol<int(Device, char*, unsigned)> uuid;
  Symbol<int(Device, char*, unsigned)> name;
  Symbol<int(Device, Memory*)> memory;
  Symbol<int(Device, PciInfo*)> pci;
  Symbol<int(Device, unsigned*, unsigned*)> mig_mode;
  Symbol<int(Device, unsigned*)> most_instances;
  Symbol<int(Device, unsigned, Device*)> instance;

 private:
  template <class Function>
  void Find(const char* symbol, Function& function) {
    function.call = reinterpret_cast<decltype(function.call)>(::dlsym(handle_, symbol));
  }

  int Load() {
    Symbol<int()> init;
    Find("nvmlInit_v2", init);
    Find("nvmlShutdown", shutdown_);
    Find("nvmlDeviceGetCount_v2", count);
    Find("nvmlDeviceGetHandleByIndex_v2", by_index);
    Find("nvmlDeviceGetUUID", uuid);
    Find("nvmlDeviceGetName", name);
    Find("nvmlDeviceGetMemoryInfo", memory);
    Find("nvmlDeviceGetPciInfo_v3", pci);
    Find("nvmlDeviceGetMigMode", mig_mode);
    Find("nvmlDeviceGetMaxMigDeviceCount", most_instances);
    Find("nvmlDeviceGetMigDeviceHandleByIndex", instance);
    error_string_ = reinterpret_cast<const char* (*)(int)>(::dlsym(handle_, "nvmlErrorString"));
    return init();
  }

  void* handle_ = nullptr;
  bool began_ = false;
  Symbol<int()> shutdown_;
  const char* (*error_string_)(int) = nullptr;
};

std::string TextOf(const Symbol<int(Device, char*, unsigned)>& get, Device device) {
  std::array<char, kText> text{};
  return get(device, text.data(), text.size()) == kSuccess ? text.data() : "";
}

std::uint64_t MemoryOf(const Library& library, Device device) {
  Memory memory{};
  return library.memory(device, &memory) == kSuccess ? memory.total : 0;
}

// NVML writes eight digits for the domain, the kernel four, both may use capitals.
std::string PciOf(const Library& library, Device device) {
  PciInfo info{};
  if (library.pci(device, &info) != kSuccess) return "";
  std::string id(info.bus_id, ::strnlen(info.bus_id, sizeof info.bus_id));
  std::transform(id.begin(), id.end(), id.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  const auto colon = id.find(':');
  return colon == 8 && id.starts_with("0000") ? id.substr(4) : id;
}

std::vector<MigInstance> InstancesOf(const Library& library, Device device) {
  std::vector<MigInstance> instances;
  unsigned most = 0;
  if (library.most_instances(device, &most) != kSuccess) return instances;
  for (unsigned i = 0; i < most; ++i) {
    Device instance = nullptr;
    if (library.instance(device, i, &instance) != kSuccess) continue;  // a number that is not used
    instances.push_back({TextOf(library.uuid, instance), MemoryOf(library, instance)});
  }
  return instances;
}

NvidiaGpu GpuOf(const Library& library, Device device) {
  NvidiaGpu gpu{.uuid = TextOf(library.uuid, device),
                .name = TextOf(library.name, device),
                .memory_bytes = MemoryOf(library, device),
                .pci = PciOf(library, device)};
  unsigned current = 0;
  unsigned pending = 0;
  gpu.mig = library.mig_mode(device, &current, &pending) == kSuccess && current == 1;
  if (gpu.mig) gpu.instances = InstancesOf(library, device);
  return gpu;
}

// "A100", "L40S", "T4": capitals, then a number.
bool IsModel(const std::string& word) {
  const auto digit =
      std::find_if(word.begin(), word.end(), [](unsigned char c) { return std::isdigit(c) != 0; });
  return digit != word.begin() && digit != word.end() &&
         std::all_of(word.begin(), word.end(),
                     [](unsigned char c) { return std::isdigit(c) != 0 || std::isupper(c) != 0; });
}

}  // namespace

Result<std::vector<NvidiaGpu>> NvidiaGpus(const std::string& path) {
  auto library = Library::Open(path);
  if (!library.ok()) return library.status();
  unsigned count = 0;
  if (const int error = (*library)->count(&count); error != kSuccess) {
    return Internal(path + ": " + (*library)->Words(error));
  }
  std::vector<NvidiaGpu> gpus;
  for (unsigned i = 0; i < count; ++i) {
    Device device = nullptr;
    if ((*library)->by_index(i, &device) == kSuccess) gpus.push_back(GpuOf(**library, device));
  }
  return gpus;
}

std::string NvidiaType(const std::string& name) {
  std::istringstream text(name);
  std::vector<std::string> words;
  for (std::string word; text >> word;) words.push_back(word);
  if (!words.empty() && words.front() == "NVIDIA") words.erase(words.begin());
  if (!words.empty() && words.front() == "Tesla") words.erase(words.begin());
  if (words.empty()) return "";
  const std::string model = words.front().substr(0, words.front().find('-'));
  if (IsModel(model)) return model;
  const bool workstation = words.size() > 2 && words[0] == "RTX" && words[1] == "PRO";
  if (workstation) words.resize(3);
  std::string type;
  for (const std::string& word : words) type += (type.empty() ? "" : "-") + word;
  return type;
}

}  // namespace penstock::detect
