// The cgroup folders that confine this process, innermost first.
#pragma once

#include <string>
#include <vector>

namespace penstock::detect {

// Folders of the v2 hierarchy; empty where only v1 is mounted or the process is in its root.
std::vector<std::string> CgroupV2Folders(const std::string& root);

// Folders of one v1 controller ("cpu", "cpuset", "memory"); empty where it is not mounted.
std::vector<std::string> CgroupV1Folders(const std::string& root, const std::string& controller);

// The first line of a file, "" when it cannot be read.
std::string FirstLine(const std::string& path);

}  // namespace penstock::detect
