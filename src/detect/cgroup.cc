#include "detect/cgroup.h"

#include <sstream>

#include "base/file.h"

namespace penstock::detect {
namespace {

// A line of /proc/self/cgroup: "hierarchy:controllers:path".
struct Membership {
  std::string controllers;
  std::string path;
};

std::vector<Membership> Memberships(const std::string& root) {
  std::vector<Membership> all;
  const auto text = base::ReadFile(root + "proc/self/cgroup");
  if (!text.ok()) return all;
  std::istringstream lines(*text);
  for (std::string line; std::getline(lines, line);) {
    const auto first = line.find(':');
    const auto second = line.find(':', first + 1);
    if (second == std::string::npos) continue;
    all.push_back({line.substr(first + 1, second - first - 1), line.substr(second + 1)});
  }
  return all;
}

// `mount` + `path` and every folder above it, down to the mount itself. Inside a container the
// path is the host's and is not there below the mount: then the mount alone counts.
std::vector<std::string> Upward(const std::string& mount, std::string path) {
  std::vector<std::string> folders;
  while (!path.empty() && path != "/") {
    if (!base::ListDir(mount + path).empty()) folders.push_back(mount + path);
    path = path.substr(0, path.rfind('/'));
  }
  folders.push_back(mount);
  return folders;
}

bool Lists(const std::string& controllers, const std::string& wanted) {
  std::istringstream names(controllers);
  for (std::string name; std::getline(names, name, ',');) {
    if (name == wanted) return true;
  }
  return false;
}

}  // namespace

std::string FirstLine(const std::string& path) {
  const auto text = base::ReadFile(path);
  return text.ok() ? text->substr(0, text->find('\n')) : "";
}

std::vector<std::string> CgroupV2Folders(const std::string& root) {
  for (const char* mount : {"sys/fs/cgroup", "sys/fs/cgroup/unified"}) {
    if (FirstLine(root + mount + "/cgroup.controllers").empty()) continue;
    for (const auto& [controllers, path] : Memberships(root)) {
      if (controllers.empty()) return Upward(root + mount, path);
    }
    return {root + mount};
  }
  return {};
}

std::vector<std::string> CgroupV1Folders(const std::string& root, const std::string& controller) {
  const std::string mount = root + "sys/fs/cgroup/" + controller;
  if (base::ListDir(mount).empty()) return {};
  for (const auto& [controllers, path] : Memberships(root)) {
    if (Lists(controllers, controller)) return Upward(mount, path);
  }
  return {mount};
}

}  // namespace penstock::detect
