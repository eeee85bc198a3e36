#include "control.h"

#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "autoscale/policy.h"
#include "base/call_once.h"
#include "base/instance.h"
#include "config/actor_options.h"
#include "config/autoscaling_options.h"
#include "config/deployment_options.h"
#include "config/grpc_options.h"
#include "config/http_options.h"
#include "config/router_options.h"
#include "convert.h"
#include "resources/families.h"

namespace penstock::python {
namespace {

using nlohmann::json;

json Parse(const std::string& text) {
  return json::parse(text, nullptr, /*allow_exceptions=*/false);
}

nb::tuple CallOnce(const std::string& folder, const std::string& method, const std::string& params,
                   const nb::bytes& blob, double timeout_s) {
  base::Message message{Parse(params), std::string(View(blob))};
  const auto answer = [&] {
    const ReleasedGil released;
    return base::CallOnce(
        folder, method, message,
        {.timeout = FromSeconds(timeout_s < 0 ? kForever_s : timeout_s), .interrupted = [] {
           const nb::gil_scoped_acquire gil;
           return PyErr_CheckSignals() != 0;
         }});
  }();
  if (!answer.ok()) Raise(answer.status());
  return nb::make_tuple(Text(answer->json.dump(-1, ' ', false, json::error_handler_t::replace)),
                        Bytes(answer->blob));
}

std::string FindInstance(const std::string& address) {
  const auto info = Unwrap(base::FindInstance(address));
  return json({{"folder", info.folder}, {"address", info.Address()}, {"pid", info.agent.pid}})
      .dump();
}

}  // namespace

void BindControl(nb::module_& module) {
  module.def("call_once", &CallOnce, nb::arg("folder"), nb::arg("method"), nb::arg("params_json"),
             nb::arg("blob"), nb::arg("timeout_s"),
             "Calls the controller of the instance in `folder`; returns (json, bytes). Negative "
             "time-out: for ever. Interruptible.");
  module.def(
      "find_instance", &FindInstance, nb::arg("address"),
      "The instance at an address, as JSON {folder, address, pid}. KeyError when none runs.");
  module.def(
      "merge_options",
      [](const std::string& before, const std::string& call) {
        return Unwrap(config::MergeOptions(Parse(before), Parse(call))).dump();
      },
      nb::arg("set_before_json"), nb::arg("call_json"),
      "Deployment options of one call laid over those set before; ValueError or TypeError.");
  module.def(
      "is_custom_router",
      [](const std::string& options) {
        return Unwrap(config::ParseRequestRouter(Parse(options))).kind ==
               RequestRouterSpec::Kind::kCustom;
      },
      nb::arg("options_json"),
      "True when a request_router_config names a class of the user's; ValueError when it is "
      "wrong.");
  module.def(
      "check_autoscaling",
      [](const std::string& options) { Unwrap(config::ParseAutoscaling(Parse(options))); },
      nb::arg("options_json"), "ValueError for an autoscaling_config out of range.");
  module.def(
      "wanted_replicas",
      [](const std::string& options, int running, int target, double requests) {
        return autoscale::Wanted(Unwrap(config::ParseAutoscaling(Parse(options))),
                                 {.running = running, .target = target, .requests = requests});
      },
      nb::arg("autoscaling_config_json"), nb::arg("running"), nb::arg("target"),
      nb::arg("requests"),
      "What the default policy wants before gains, delays and bounds. ValueError.");
  module.def(
      "is_custom_policy",
      [](const std::string& options) {
        return Unwrap(config::ParseAutoscaling(Parse(options))).policy.has_value();
      },
      nb::arg("autoscaling_config_json"),
      "True when an autoscaling_config names a policy of the user's; ValueError when it is wrong.");
  module.def(
      "check_http_options",
      [](const std::string& options) { Unwrap(config::ParseHttpOptions(Parse(options))); },
      nb::arg("options_json"), "ValueError for http_options out of range.");
  module.def(
      "check_grpc_options",
      [](const std::string& options) { Unwrap(config::ParseGrpcOptions(Parse(options))); },
      nb::arg("options_json"), "ValueError for grpc_options out of range.");
  module.def(
      "check_runtime_env",
      [](const std::string& env) { Unwrap(config::ParseRuntimeEnv(Parse(env))); },
      nb::arg("env_json"),
      "ValueError for a runtime environment that is wrong, NotImplementedError naming the field "
      "that is not acted upon.");
  module.def(
      "device_resources",
      [] {
        std::set<std::string> names;
        for (const auto& family : resources::Families()) names.emplace(family.resource);
        return std::vector<std::string>(names.begin(), names.end());
      },
      "Names of the resources that are given out device by device.");
  module.def(
      "not_acted_upon",
      [](const std::string& options) { return config::NotActedUpon(Parse(options)); },
      nb::arg("options_json"), "Set options that are accepted but have no effect yet.");
}

}  // namespace penstock::python
