// The accelerators of this machine, found by their drivers' files and, NVIDIA's, by NVML.
//
// Source of names and places: behaviour specification, 3.4, and the drivers' own documentation.
// Intel's and MetaX's GPUs are not told from those that only draw: they are declared.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/environment.h"

namespace penstock::detect {

struct Accelerator {
  std::string id;  // how programs are told of it; "" for its number
  std::string name;
  std::uint64_t memory_bytes = 0;  // 0: not known
  int numa_node = -1;              // -1: not known
};

// All of one resource; a machine has those of one maker.
struct Accelerators {
  std::string resource;  // "GPU", as resources::Family
  std::string vendor;
  std::string type;  // as in accelerator_type; "" where it is not known
  std::vector<Accelerator> devices;
  std::string derivation;  // for people
};

struct AcceleratorSources {
  std::string root = "/";                  // stands for "/"
  std::string nvml = "libnvidia-ml.so.1";  // to be loaded; "" for none
};

// In the order of resources::Families(); only those of which there is one. `environment` tells the
// type of TPUs.
std::vector<Accelerators> DetectAccelerators(const AcceleratorSources& sources,
                                             const base::Environment& environment);

}  // namespace penstock::detect
