// `penstock doctor`: what was found on this machine and how, for people and for programs.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "detect/node_totals.h"

namespace penstock::app {

// {"cpus": {"count", "derivation"}, "memory": {"total_bytes", "available_bytes"}, "accelerators":
// [{"resource", "vendor", "type", "derivation", "devices": [{"id", "name", "memory_bytes",
// "numa_node"}]}]}. Memory of 0 bytes and a NUMA node of -1 are not known.
nlohmann::json DoctorJson(const detect::Detected& detected);

std::string DoctorText(const detect::Detected& detected);

}  // namespace penstock::app
