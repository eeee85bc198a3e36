#include "control/persist.h"

#include <nlohmann/json.hpp>

#include "config/deployment_options.h"

namespace penstock::control {
namespace {

using Json = nlohmann::json;

constexpr const char* kAppPrefix = "app/";
constexpr const char* kDeploymentPrefix = "deployment/";
constexpr const char* kShutdown = "setting/shutdown";

// Names are the user's and may hold a slash: the id is in the value, the key only has to differ.
std::string KeyOf(const DeploymentId& id) {
  return kDeploymentPrefix + Json::array({id.app, id.name}).dump();
}

App AppOf(const Json& json) {
  App app;
  app.name = json.at("name");
  if (json.contains("route_prefix")) app.route_prefix = json.at("route_prefix").get<std::string>();
  app.ingress = json.at("ingress");
  app.docs_path = json.at("docs_path");
  app.deployed_unix = json.at("deployed_unix");
  app.deployments = json.at("deployments").get<std::vector<std::string>>();
  app.external_scaler = json.value("external_scaler", false);
  app.deleting = json.at("deleting");
  return app;
}

Result<Deployment> DeploymentOf(const Json& json) {
  Deployment deployment;
  deployment.id = {json.at("app"), json.at("name")};
  Target& target = deployment.target;
  target.options = json.at("options");
  target.launch = json.at("launch");
  target.code_version = json.at("code_version");
  target.deleting = json.at("deleting");
  auto spec = config::SpecFromOptions(deployment.id.name, target.options);
  if (!spec.ok()) return spec.status();
  target.spec = *std::move(spec);
  deployment.target_replicas = json.at("target_replicas");
  deployment.status.status = DeploymentStatusFromName(json.at("status"));
  deployment.status.trigger = TriggerFromName(json.at("trigger"));
  deployment.status.message = json.at("message");
  deployment.target_started = json.at("target_started");
  deployment.gave_up = json.at("gave_up");
  deployment.start_failures = json.at("start_failures");
  return deployment;
}

Status RestoreOne(const std::string& key, const Json& json, State& state) {
  if (key.starts_with(kAppPrefix)) {
    App app = AppOf(json);
    state.apps.insert_or_assign(app.name, std::move(app));
  } else if (key.starts_with(kDeploymentPrefix)) {
    auto deployment = DeploymentOf(json);
    if (!deployment.ok()) return deployment.status();
    const DeploymentId id = deployment->id;
    state.deployments.insert_or_assign(id, *std::move(deployment));
  }
  return {};
}

}  // namespace

Write Remember(const App& app) {
  Json json = {{"name", app.name},
               {"ingress", app.ingress},
               {"docs_path", app.docs_path},
               {"deployed_unix", app.deployed_unix},
               {"deployments", app.deployments},
               {"external_scaler", app.external_scaler},
               {"deleting", app.deleting}};
  if (app.route_prefix) json["route_prefix"] = *app.route_prefix;
  return {kAppPrefix + app.name, json.dump()};
}

Write Remember(const Deployment& deployment) {
  const Target& target = deployment.target;
  const Json json = {{"app", deployment.id.app},
                     {"name", deployment.id.name},
                     {"options", target.options},
                     {"launch", target.launch},
                     {"code_version", target.code_version},
                     {"deleting", target.deleting},
                     {"target_replicas", deployment.target_replicas},
                     {"status", Name(deployment.status.status)},
                     {"trigger", Name(deployment.status.trigger)},
                     {"message", deployment.status.message},
                     {"target_started", deployment.target_started},
                     {"gave_up", deployment.gave_up},
                     {"start_failures", deployment.start_failures}};
  return {KeyOf(deployment.id), json.dump(-1, ' ', false, Json::error_handler_t::replace)};
}

Write ForgetApp(const std::string& name) { return {kAppPrefix + name, std::nullopt}; }
Write ForgetDeployment(const DeploymentId& id) { return {KeyOf(id), std::nullopt}; }

Write RememberShutdown(bool under_way) {
  return {kShutdown, under_way ? std::optional<std::string>("true") : std::nullopt};
}

bool RemembersShutdown(const std::map<std::string, std::string>& values) {
  return values.contains(kShutdown);
}

Status Restore(const std::map<std::string, std::string>& values, State& state) {
  for (const auto& [key, value] : values) {
    try {  // the library reports a malformed value by throwing
      if (Status bad = RestoreOne(key, Json::parse(value), state); !bad.ok()) {
        return Internal("state database, key '" + key + "': " + bad.message());
      }
    } catch (const Json::exception& error) {
      return Internal("state database, key '" + key + "': " + error.what());
    }
  }
  return {};
}

}  // namespace penstock::control
