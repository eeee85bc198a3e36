// serve.deploy as a driver sends it: refused in words, or an application that is whole.
#include "control/app_request.h"

#include <algorithm>

#include "control/persist.h"
#include "support/fuzz.h"

namespace penstock::control {
namespace {

void CheckRequest(const AppRequest& request) {
  const App& app = request.app;
  PENSTOCK_CHECK(!app.name.empty());
  PENSTOCK_CHECK(!app.route_prefix || CheckRoutePrefix(*app.route_prefix).ok());
  PENSTOCK_CHECK(app.deployments.size() == request.deployments.size());
  PENSTOCK_CHECK(std::is_sorted(app.deployments.begin(), app.deployments.end()));
  PENSTOCK_CHECK(std::adjacent_find(app.deployments.begin(), app.deployments.end()) ==
                 app.deployments.end());
  PENSTOCK_CHECK(std::binary_search(app.deployments.begin(), app.deployments.end(), app.ingress));
  for (const auto& [name, target] : request.deployments) {
    PENSTOCK_CHECK(std::binary_search(app.deployments.begin(), app.deployments.end(), name));
    PENSTOCK_CHECK(target.spec.name == name);
    PENSTOCK_CHECK(target.launch.is_object());
  }
}

// What is accepted can be remembered, and a restarted controller reads the same.
void CheckRestored(const AppRequest& request) {
  std::map<std::string, std::string> stored;
  const auto keep = [&](const Write& write) { stored[write.key] = *write.value; };
  keep(Remember(request.app));
  for (const auto& [name, target] : request.deployments) {
    Deployment deployment;
    deployment.id = {request.app.name, name};
    deployment.target = target;
    keep(Remember(deployment));
  }
  State state;
  PENSTOCK_CHECK(Restore(stored, state).ok());
  PENSTOCK_CHECK(state.apps.at(request.app.name).deployments == request.app.deployments);
  PENSTOCK_CHECK(state.apps.at(request.app.name).route_prefix == request.app.route_prefix);
  for (const auto& [name, target] : request.deployments) {
    const Target& restored = state.deployments.at({request.app.name, name}).target;
    PENSTOCK_CHECK(restored.spec == target.spec);
    PENSTOCK_CHECK(restored.launch == target.launch);
    PENSTOCK_CHECK(restored.code_version == target.code_version);
  }
}

}  // namespace
}  // namespace penstock::control

PENSTOCK_FUZZ(input) {
  using namespace penstock::control;
  const auto params = input.Json();
  if (params.is_discarded()) return;
  const auto request = ParseAppRequest(params, "v1");
  if (!request.ok()) {
    PENSTOCK_CHECK(!request.status().message().empty());
    return;
  }
  CheckRequest(*request);
  CheckRestored(*request);
}
