#include "detect/memory.h"

#include <algorithm>
#include <optional>
#include <sstream>

#include "base/file.h"
#include "detect/cgroup.h"

namespace penstock::detect {
namespace {

// Bytes in a one-line file; nullopt for "max", for nothing, and for v1's "no limit".
std::optional<std::int64_t> Bytes(const std::string& path) {
  constexpr std::int64_t kNoLimit = std::int64_t{1} << 60;
  std::int64_t bytes = 0;
  if (!(std::istringstream(FirstLine(path)) >> bytes)) return std::nullopt;
  return bytes < kNoLimit ? std::optional(bytes) : std::nullopt;
}

// "<Name>: <n> kB" of /proc/meminfo, in bytes.
std::int64_t MemInfo(const std::string& text, const std::string& name) {
  const auto at = text.find(name + ":");
  std::int64_t kib = 0;
  if (at != std::string::npos) std::istringstream(text.substr(at + name.size() + 1)) >> kib;
  return kib * 1024;
}

void Limit(Memory& memory, std::optional<std::int64_t> limit, std::optional<std::int64_t> used) {
  if (!limit) return;
  memory.total_bytes = std::min(memory.total_bytes, *limit);
  if (used) memory.available_bytes = std::min(memory.available_bytes, *limit - *used);
}

}  // namespace

Memory DetectMemory(const std::string& root) {
  Memory memory;
  if (const auto text = base::ReadFile(root + "proc/meminfo"); text.ok()) {
    memory.total_bytes = MemInfo(*text, "MemTotal");
    memory.available_bytes = MemInfo(*text, "MemAvailable");
  }
  for (const std::string& folder : CgroupV2Folders(root)) {
    Limit(memory, Bytes(folder + "/memory.max"), Bytes(folder + "/memory.current"));
  }
  for (const std::string& folder : CgroupV1Folders(root, "memory")) {
    Limit(memory, Bytes(folder + "/memory.limit_in_bytes"),
          Bytes(folder + "/memory.usage_in_bytes"));
  }
  memory.available_bytes = std::max<std::int64_t>(memory.available_bytes, 0);
  return memory;
}

}  // namespace penstock::detect
