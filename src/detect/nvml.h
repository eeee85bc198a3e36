// NVIDIA's GPUs, as its management library tells of them. It is loaded when it is asked for: a
// machine without it has none.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "penstock/status.h"

namespace penstock::detect {

// A part of a GPU that is one device to programs (MIG).
struct MigInstance {
  std::string uuid;  // "MIG-..."
  std::uint64_t memory_bytes = 0;
};

struct NvidiaGpu {
  std::string uuid;  // "GPU-..."
  std::string name;  // "NVIDIA A100-SXM4-40GB"
  std::uint64_t memory_bytes = 0;
  std::string pci;  // as folders below /sys/bus/pci/devices are called: "0000:3b:00.0"
  bool mig = false;
  std::vector<MigInstance> instances;  // with `mig`; perhaps none
};

// In the library's order, which is that of the PCI bus. kNotFound without the library or its
// driver; kInternal, with the library's words, when it fails. A GPU that is lost is left out.
Result<std::vector<NvidiaGpu>> NvidiaGpus(const std::string& library = "libnvidia-ml.so.1");

// What Ray calls the type of a GPU of this name: the model where the name begins with it
// ("NVIDIA A100-SXM4-40GB": "A100", "NVIDIA RTX PRO 6000 ...": "RTX-PRO-6000"), else the name
// without its maker ("GeForce-RTX-3090"). Source: behaviour specification, 3.4.
std::string NvidiaType(const std::string& name);

}  // namespace penstock::detect
