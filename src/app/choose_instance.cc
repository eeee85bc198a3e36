#include "app/choose_instance.h"

#include "base/environment.h"

namespace penstock::app {

Result<base::InstanceInfo> ChooseInstance(const std::string& address) {
  const std::string named = address.empty() ? base::GetEnv("PENSTOCK_ADDRESS") : address;
  auto info = base::FindInstance(named);
  if (info.ok() || !named.empty()) return info;
  const auto live = base::LiveInstances();
  if (!live.ok()) return live.status();
  if (live->size() == 1) return live->front();
  if (live->size() > 1) {
    std::string all;
    for (const auto& one : *live) all += "\n  " + one.Address();
    return Status(Code::kNotFound, "several scripts run an instance; say --address:" + all);
  }
  return info;
}

}  // namespace penstock::app
