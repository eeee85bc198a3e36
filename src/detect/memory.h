// How much memory this node can give away.
#pragma once

#include <cstdint>
#include <string>

namespace penstock::detect {

struct Memory {
  std::int64_t total_bytes = 0;      // the least of the machine's and the cgroups' limits
  std::int64_t available_bytes = 0;  // of it, not used now
};

// Reads /proc/meminfo and the memory cgroups (v1 and v2) below `root`, which stands for "/".
Memory DetectMemory(const std::string& root);

}  // namespace penstock::detect
