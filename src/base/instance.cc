#include "base/instance.h"

#include <fcntl.h>
#include <ifaddrs.h>
#include <netdb.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <thread>

#include "base/environment.h"
#include "base/file.h"

namespace penstock::base {
namespace {

namespace fs = std::filesystem;

// nullopt unless its agent is alive: the file outlives one that was killed.
std::optional<InstanceInfo> ReadInfo(const std::string& folder) {
  const auto text = ReadFile(folder + "/info.json");
  if (!text.ok()) return std::nullopt;
  try {  // the library reports a malformed file by throwing
    const auto json = nlohmann::json::parse(*text);
    InstanceInfo info{.folder = folder,
                      .agent = {.pid = json.at("pid"), .started = json.at("started")},
                      .guard = {.pid = json.at("guard_pid"), .started = json.at("guard_started")},
                      .port = json.at("port"),
                      .embedded = json.at("embedded")};
    return info.agent.alive() ? std::optional(info) : std::nullopt;
  } catch (const nlohmann::json::exception&) {
    return std::nullopt;
  }
}

std::string CurrentLink() { return InstanceRoot() + "/current"; }

// Where PENSTOCK_HOME does not say otherwise; a place that everybody may write to.
std::string DefaultRoot() { return "/tmp/penstock-" + std::to_string(::getuid()); }

Status Untrusted(const std::string& what) {
  return Status(Code::kFailedPrecondition,
                what + "; name another folder for instances with PENSTOCK_HOME");
}

// Ok also when there is none yet.
Status CheckRoot() {
  const std::string root = InstanceRoot();
  struct stat entry {};
  struct stat folder {};
  if (::lstat(root.c_str(), &entry) != 0 && errno == ENOENT) return {};
  if (::stat(root.c_str(), &folder) != 0) {
    return Untrusted("cannot read '" + root + "': " + std::strerror(errno));
  }
  const uid_t self = ::geteuid();
  for (const uid_t owner : {entry.st_uid, folder.st_uid}) {
    const bool link_of_root = owner == 0 && S_ISLNK(entry.st_mode) && folder.st_uid == self;
    if (owner == self || link_of_root) continue;
    return Untrusted("'" + root + "' belongs to user " + std::to_string(owner) + ", not to user " +
                     std::to_string(self));
  }
  if (!S_ISDIR(folder.st_mode)) return Untrusted("'" + root + "' is not a folder");
  if ((folder.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
    return Untrusted("other users may write to '" + root + "': forbid it with `chmod go-w`");
  }
  return {};
}

// The root, ours alone. One that the user chose keeps its mode: it may have other uses.
Status MakeRoot() {
  const std::string root = InstanceRoot();
  if (Status bad = MakeDirs(root); !bad.ok()) return bad;
  if (Status bad = CheckRoot(); !bad.ok()) return bad;
  if (root == DefaultRoot() && ::chmod(root.c_str(), S_IRWXU) != 0) {
    return Internal("cannot change the mode of '" + root + "': " + std::strerror(errno));
  }
  return {};
}

// Every numeric address of this host's interfaces.
std::vector<std::string> OwnAddresses() {
  std::vector<std::string> addresses;
  ifaddrs* list = nullptr;
  if (::getifaddrs(&list) != 0) return addresses;
  const std::unique_ptr<ifaddrs, decltype(&::freeifaddrs)> owned(list, &::freeifaddrs);
  for (const ifaddrs* entry = list; entry != nullptr; entry = entry->ifa_next) {
    if (entry->ifa_addr == nullptr) continue;
    const int family = entry->ifa_addr->sa_family;
    if (family != AF_INET && family != AF_INET6) continue;
    const socklen_t size = family == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6);
    std::array<char, NI_MAXHOST> host{};
    if (::getnameinfo(entry->ifa_addr, size, host.data(), host.size(), nullptr, 0,
                      NI_NUMERICHOST) == 0) {
      addresses.emplace_back(host.data());
    }
  }
  return addresses;
}

bool IsThisHost(const std::string& host) {
  if (host.empty() || host == "localhost" || host == "auto" || host.starts_with("127."))
    return true;
  std::array<char, 256> name{};
  if (::gethostname(name.data(), name.size() - 1) == 0 && host == name.data()) return true;
  const auto own = OwnAddresses();
  return std::find(own.begin(), own.end(), host) != own.end();
}

Result<InstanceInfo> FindByPort(const std::string& address) {
  const auto colon = address.rfind(':');
  const std::string host = address.substr(0, colon);
  int port = 0;
  const char* digits = address.c_str() + colon + 1;
  const auto end = std::from_chars(digits, address.c_str() + address.size(), port);
  if (end.ec != std::errc() || *end.ptr != '\0') {
    return InvalidArgument("address '" + address + "' is neither a folder nor HOST:PORT");
  }
  if (!IsThisHost(host)) {
    return Status(Code::kFailedPrecondition,
                  "address '" + address +
                      "' is on another host. The local engine runs on one host; "
                      "several hosts need the ray engine, which uses an existing Ray cluster.");
  }
  const auto live = LiveInstances();
  if (!live.ok()) return live.status();
  for (const InstanceInfo& info : *live) {
    if (!info.embedded && info.port == port) return info;
  }
  return Status(Code::kNotFound, "no Penstock instance is running at '" + address +
                                     "'; start one with `penstock start --head`");
}

}  // namespace

std::string InstanceInfo::Address() const {
  return embedded ? folder : "127.0.0.1:" + std::to_string(port);
}

std::string InstanceRoot() {
  const std::string home = GetEnv("PENSTOCK_HOME");
  return home.empty() ? DefaultRoot() : home;
}

Result<InstancePaths> MakeInstance(const std::string& name) {
  if (Status bad = MakeRoot(); !bad.ok()) return bad;
  const InstancePaths paths{InstanceRoot() + "/" + name};
  for (const std::string& folder :
       {paths.folder, paths.code(), paths.sockets(), paths.logs(), paths.environments()}) {
    if (Status bad = MakeDirs(folder); !bad.ok()) return bad;
  }
  return paths;
}

Status PublishInstance(const InstanceInfo& info) {
  const nlohmann::json json = {{"pid", info.agent.pid},       {"started", info.agent.started},
                               {"guard_pid", info.guard.pid}, {"guard_started", info.guard.started},
                               {"port", info.port},           {"embedded", info.embedded},
                               {"address", info.Address()}};
  if (Status bad = WriteFileAtomic(info.folder + "/info.json", json.dump(2) + "\n"); !bad.ok()) {
    return bad;
  }
  if (info.embedded) return {};
  const std::string beside = CurrentLink() + ".tmp" + std::to_string(info.agent.pid);
  std::error_code error;
  fs::remove(beside, error);
  fs::create_symlink(info.folder, beside, error);
  if (!error) fs::rename(beside, CurrentLink(), error);
  return error ? Internal("cannot link '" + CurrentLink() + "': " + error.message()) : Status();
}

void RetractInstance(const InstanceInfo& info) {
  std::error_code error;
  if (fs::read_symlink(CurrentLink(), error) == info.folder) fs::remove(CurrentLink(), error);
  fs::remove(info.folder + "/info.json", error);
}

Result<UniqueFd> JoinInstance(const InstancePaths& paths) {
  UniqueFd members(::open(paths.members().c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!members || ::flock(members.get(), LOCK_SH) != 0) {
    return Internal("cannot lock '" + paths.members() + "': " + std::strerror(errno));
  }
  return members;
}

bool WaitForMembers(const InstancePaths& paths, Duration patience) {
  constexpr auto kPeriod =
      std::chrono::milliseconds(5);  // a lock cannot be waited for with a limit
  const UniqueFd members(::open(paths.members().c_str(), O_RDWR | O_CLOEXEC));
  if (!members) return true;
  for (Duration waited{}; ::flock(members.get(), LOCK_EX | LOCK_NB) != 0; waited += kPeriod) {
    if (waited >= patience) return false;
    std::this_thread::sleep_for(kPeriod);
  }
  return true;
}

Result<std::vector<InstanceInfo>> LiveInstances() {
  if (Status bad = CheckRoot(); !bad.ok()) return bad;
  std::vector<InstanceInfo> live;
  for (const std::string& name : ListDir(InstanceRoot())) {
    if (name == "current") continue;
    if (auto info = ReadInfo(InstanceRoot() + "/" + name)) live.push_back(*std::move(info));
  }
  return live;
}

Result<InstanceInfo> FindInstance(const std::string& address) {
  if (address.empty() || address == "auto") {
    if (Status bad = CheckRoot(); !bad.ok()) return bad;
    std::error_code error;
    const fs::path folder = fs::read_symlink(CurrentLink(), error);
    if (!error) {
      if (auto info = ReadInfo(folder.string())) return *std::move(info);
    }
    return Status(Code::kNotFound,
                  "no Penstock instance is running; start one with `penstock start --head`");
  }
  if (address.find('/') != std::string::npos) {
    if (auto info = ReadInfo(address)) return *std::move(info);
    return Status(Code::kNotFound, "no Penstock instance is running in '" + address + "'");
  }
  return FindByPort(address.find(':') == std::string::npos ? address + ":6379" : address);
}

}  // namespace penstock::base
