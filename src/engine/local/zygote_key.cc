#include "engine/local/zygote_key.h"

#include <algorithm>
#include <array>
#include <optional>
#include <string_view>
#include <vector>

namespace penstock::engine::local {
namespace {

constexpr const char* kSwitch = "PENSTOCK_ZYGOTE";
constexpr const char* kPath = "PYTHONPATH";

constexpr std::array<std::string_view, 9> kPrefixes = {
    "PYTHON", "_PYTHON", "LD_", "MALLOC_", "GLIBC_", "TCMALLOC_", "MIMALLOC_", "LC_", "OPENSSL_"};
constexpr std::array<std::string_view, 7> kNames = {"LANG",    "LANGUAGE", "LOCPATH", "GCONV_PATH",
                                                    "NLSPATH", "TZ",       "HOME"};
constexpr std::string_view kSanitizers = "SAN_OPTIONS";

// PYTHONPATH without the folders it begins with; nothing when that is all of it.
std::optional<std::string> PathWithout(const std::vector<std::string>& folders,
                                       const std::string& path) {
  std::size_t size = 0;
  for (const std::string& folder : folders) size += folder.size() + 1;
  if (size > path.size()) return std::nullopt;
  return path.substr(size);
}

Status Own(const std::string& why) { return {Code::kFailedPrecondition, why}; }

}  // namespace

bool IsFixedAtStart(const std::string& name) {
  return name.ends_with(kSanitizers) ||
         std::any_of(kPrefixes.begin(), kPrefixes.end(),
                     [&](std::string_view prefix) { return name.starts_with(prefix); }) ||
         std::find(kNames.begin(), kNames.end(), name) != kNames.end();
}

Result<ZygoteKey> ZygoteKeyOf(const nlohmann::json& launch, const ReplicaEnvironment& environment) {
  if (launch.value("kind", "python") != "python") return Own("it is not Python");
  const auto chosen = environment.variables.find(kSwitch);
  if (chosen != environment.variables.end() && chosen->second == "0") {
    return Own(std::string(kSwitch) + "=0");
  }
  ZygoteKey key{.python = launch.value("python", "python3")};
  if (!key.python.starts_with('/')) return Own("'" + key.python + "' is not a path");
  for (const auto& [name, value] : environment.variables) {
    if (IsFixedAtStart(name)) key.fixed.emplace(name, value);
  }
  if (const auto path = key.fixed.find(kPath); path != key.fixed.end()) {
    const auto rest = PathWithout(environment.import_folders, path->second);
    if (rest) {
      path->second = *rest;
    } else {
      key.fixed.erase(path);
    }
  }
  return key;
}

Variables ZygoteVariables(const Variables& node_environment, const ZygoteKey& key) {
  Variables variables = node_environment;
  std::erase_if(variables, [](const auto& entry) { return IsFixedAtStart(entry.first); });
  variables.insert(key.fixed.begin(), key.fixed.end());
  return variables;
}

}  // namespace penstock::engine::local
