// How many CPUs this process may use.
#pragma once

#include <string>

namespace penstock::detect {

struct Cpus {
  int count = 1;           // whole CPUs, at least one
  std::string derivation;  // for people: "affinity 8, quota 2.5 -> 2"
};

// The least of the affinity mask, the cgroup's cpuset and quota / period at every level of the
// tree (v1 and v2). A fraction is truncated, as Ray does. `root` stands for "/", `affinity` for
// the number of CPUs in the mask of this process.
Cpus DetectCpus(const std::string& root, int affinity);

// The number of CPUs in this process's affinity mask.
int AffinityCpus();

}  // namespace penstock::detect
