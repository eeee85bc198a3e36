#include "control/app_request.h"

#include <algorithm>

#include "config/deployment_options.h"
#include "config/fields.h"

namespace penstock::control {
namespace {

using Json = nlohmann::json;

std::string Joined(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

// What an agent reads of it; the rest is the replica's.
Status CheckLaunch(const Json& launch) {
  for (const char* field :
       {"kind", "python", "cwd", "code", "library", "router_code", "policy_code"}) {
    if (!launch.contains(field) || launch.at(field).is_string()) continue;
    return InvalidArgument(std::string("serve.deploy: launch.") + field + " must be a text, got " +
                           launch.at(field).dump());
  }
  return {};
}

// What an application gives to deployments that have none of their own.
struct Defaults {
  Json launch;
  std::string code_version;
  Json logging_config;
};

Result<Target> ParseTarget(const std::string& name, const Json& deployment,
                           const Defaults& defaults) {
  Json given = deployment.value("options", Json::object());
  if (given.is_object() && !config::Has(given, "logging_config") &&
      !defaults.logging_config.is_null()) {
    given["logging_config"] = defaults.logging_config;
  }
  const auto options = config::MergeOptions(Json::object(), given);
  if (!options.ok()) return options.status();
  if (const auto missing = config::NotActedUpon(*options); !missing.empty()) {
    return Status(Code::kUnimplemented, "Deployment '" + name + "' sets " + Joined(missing) +
                                            ", which Penstock accepts but does not act on yet.");
  }
  auto spec = config::SpecFromOptions(name, *options);
  if (!spec.ok()) return spec.status();
  Target target{.spec = *std::move(spec), .options = *options, .launch = defaults.launch};
  if (!defaults.launch.is_object())
    return InvalidArgument("serve.deploy: 'launch' must be an object");
  if (deployment.contains("launch")) target.launch.update(deployment.at("launch"));
  if (Status bad = CheckLaunch(target.launch); !bad.ok()) return bad;
  target.code_version = deployment.value("code_version", defaults.code_version);
  return target;
}

Result<App> ParseApp(const Json& params) {
  App app;
  app.name = params.value("name", "");
  if (app.name.empty()) return InvalidArgument("Application name must a non-empty string.");
  app.ingress = params.value("ingress", "");
  app.docs_path = params.value("docs_path", "");
  if (config::Has(params, "external_scaler_enabled")) {
    const Json& external = params.at("external_scaler_enabled");
    if (!external.is_boolean()) {
      return InvalidArgument("external_scaler_enabled must be true or false, got " +
                             external.dump());
    }
    app.external_scaler = external;
  }
  if (config::Has(params, "route_prefix")) {
    app.route_prefix = params.at("route_prefix").get<std::string>();
    if (Status bad = CheckRoutePrefix(*app.route_prefix); !bad.ok()) return bad;
  }
  return app;
}

Result<AppRequest> Parse(const Json& params, const std::string& code_version,
                         const Json& logging_config) {
  auto app = ParseApp(params);
  if (!app.ok()) return app.status();
  AppRequest request{.app = *std::move(app)};
  const bool has_logging = config::Has(params, "logging_config");
  const Defaults defaults{
      .launch = params.value("launch", Json::object()),
      .code_version = code_version,
      .logging_config = has_logging ? params.at("logging_config") : logging_config};
  for (const Json& deployment : params.value("deployments", Json::array())) {
    const std::string name = deployment.value("name", "");
    auto target = ParseTarget(name, deployment, defaults);
    if (!target.ok()) return target.status();
    if (request.app.external_scaler && target->spec.autoscaling) {
      return InvalidArgument("external_scaler_enabled is set for application '" + request.app.name +
                             "', so deployment '" + name +
                             "' may have no autoscaling_config: only one can say how many "
                             "replicas there are to be.");
    }
    request.deployments.emplace_back(name, *std::move(target));
    request.app.deployments.push_back(name);
  }
  auto& names = request.app.deployments;
  std::sort(names.begin(), names.end());
  if (std::adjacent_find(names.begin(), names.end()) != names.end()) {
    return InvalidArgument("Application '" + request.app.name + "' names a deployment twice.");
  }
  if (std::find(names.begin(), names.end(), request.app.ingress) == names.end()) {
    return InvalidArgument("The ingress '" + request.app.ingress + "' of application '" +
                           request.app.name + "' is none of its deployments.");
  }
  return request;
}

}  // namespace

Result<AppRequest> ParseAppRequest(const Json& params, const std::string& code_version,
                                   const Json& logging_config) {
  try {  // the library reports a missing or mistyped field by throwing
    return Parse(params, code_version, logging_config);
  } catch (const Json::exception& error) {
    return InvalidArgument(std::string("serve.deploy: ") + error.what());
  }
}

Status CheckRoutePrefix(const std::string& prefix) {
  if (!prefix.starts_with('/')) {
    return InvalidArgument("The route_prefix must start with a forward slash ('/'), got '" +
                           prefix + "'.");
  }
  if (prefix != "/" && prefix.ends_with('/')) {
    return InvalidArgument(
        "The route_prefix must not end with a forward slash ('/') unless it is " +
        std::string("the root prefix, got '") + prefix + "'.");
  }
  if (prefix.find_first_of("{}") != std::string::npos) {
    return InvalidArgument("The route_prefix must not contain wildcards, got '" + prefix + "'.");
  }
  return {};
}

Status CheckPrefixFree(const App& app, const std::map<std::string, App>& apps) {
  if (!app.route_prefix) return {};
  for (const auto& [name, other] : apps) {
    if (name == app.name || other.deleting || other.route_prefix != app.route_prefix) continue;
    return Status(Code::kAlreadyExists,
                  "Prefix " + *app.route_prefix + " is being used by application \"" + name +
                      "\". Failed to deploy application \"" + app.name + "\".");
  }
  return {};
}

}  // namespace penstock::control
