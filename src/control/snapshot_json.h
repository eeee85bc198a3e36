// The state as JSON: what `serve.status()`, `penstock status` and later REST show.
//
// Ray Serve's shape (behaviour specification, 8.4) with more in it: per replica its node, its
// devices, the variables that were decided and why, and for a waiting one what it waits for.
#pragma once

#include <nlohmann/json.hpp>

#include "control/controller.h"
#include "penstock/units.h"

namespace penstock::control {

// After this a deployment's message says that its replicas are slow to start
// (RAY_SERVE_SLOW_STARTUP_WARNING_S).
inline constexpr double kSlowStartup_s = 30;

struct StatusOptions {
  TimePoint now{};
  double slow_startup_s = kSlowStartup_s;
};

// {proxies, applications, notice, target_capacity}.
nlohmann::json ServeStatusJson(const Controller& controller, const StatusOptions& options);

// {total, available, nodes: [{id, name, ip, is_head, alive, labels, total, free, devices}]}.
nlohmann::json ResourcesJson(const Controller& controller);

}  // namespace penstock::control
