#include "control/rebuild.h"

#include <algorithm>
#include <utility>

#include "autoscale/policy.h"
#include "config/deployment_options.h"

namespace penstock::control {
namespace {

using Json = nlohmann::json;

Result<App> AppFrom(const std::string& name, const Json& record) {
  try {  // the library reports a missing or mistyped field by throwing
    App app;
    app.name = name;
    if (record.contains("route_prefix")) {
      app.route_prefix = record.at("route_prefix").get<std::string>();
    }
    app.ingress = record.at("ingress");
    app.docs_path = record.at("docs_path");
    app.deployed_unix = record.at("deployed_unix");
    app.deployments = record.at("deployments").get<std::vector<std::string>>();
    app.external_scaler = record.value("external_scaler", false);
    return app;
  } catch (const Json::exception& error) {
    return InvalidArgument(error.what());
  }
}

bool Lists(const App& app, const std::string& deployment) {
  return std::find(app.deployments.begin(), app.deployments.end(), deployment) !=
         app.deployments.end();
}

}  // namespace

Json RecordOf(const App& app) {
  Json record = {{"ingress", app.ingress},
                 {"docs_path", app.docs_path},
                 {"deployed_unix", app.deployed_unix},
                 {"deployments", app.deployments},
                 {"external_scaler", app.external_scaler}};
  if (app.route_prefix) record["route_prefix"] = *app.route_prefix;
  return record;
}

bool RecordsDiffer(const Json& a, const Json& b) {
  const auto undated = [](Json record) {
    if (record.is_object()) record.erase("deployed_unix");
    return record;
  };
  return undated(a) != undated(b);
}

bool Rebuild::Add(State& state, const engine::StartOrder& order) {
  const DeploymentId& id = order.id.deployment;
  auto app = AppFrom(id.app, order.app_record);
  auto spec = config::SpecFromOptions(id.name, order.options);
  if (!app.ok() || !spec.ok()) return false;
  const double when = app->deployed_unix;
  const auto known = state.apps.find(id.app);
  if (known == state.apps.end() || when > known->second.deployed_unix) {
    state.apps.insert_or_assign(id.app, *std::move(app));
  }
  const bool deployed_since = state.deployments.contains(id) && !deployed_unix_.contains(id);
  if (deployed_since) return true;
  const auto [place, fresh] = deployed_unix_.try_emplace(id, when);
  if (!fresh && when <= place->second) return true;
  place->second = when;
  Deployment& deployment = state.deployments[id];
  deployment.id = id;
  deployment.target_replicas = spec->num_replicas;
  deployment.target = {.spec = *std::move(spec),
                       .options = order.options,
                       .launch = order.launch,
                       .code_version = order.code_version};
  return true;
}

std::vector<DeploymentId> Rebuild::Finish(State& state) const {
  std::vector<DeploymentId> lost;
  for (auto& [name, app] : state.apps) {
    std::erase_if(app.deployments, [&, app_name = name](const std::string& deployment) {
      const DeploymentId id{app_name, deployment};
      if (state.deployments.contains(id)) return false;
      lost.push_back(id);
      return true;
    });
  }
  for (auto& [id, deployment] : state.deployments) {
    if (!Lists(state.apps.at(id.app), id.name)) MarkDeleting(deployment);
    if (const auto& scaling = deployment.target.spec.autoscaling;
        scaling && !deployment.target.deleting) {
      const auto there = static_cast<int>(deployment.replicas.size());
      deployment.target_replicas = autoscale::Bounded(*scaling, there);
    }
    // What was set from outside is lost; what serves stays.
    if (state.apps.at(id.app).external_scaler && !deployment.target.deleting) {
      deployment.target_replicas = static_cast<int>(deployment.replicas.size());
    }
  }
  return lost;
}

}  // namespace penstock::control
