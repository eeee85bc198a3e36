// `penstock scale`.
#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>

#include "app/choose_instance.h"
#include "app/verbs.h"
#include "base/call_once.h"

namespace penstock::app {
namespace {

struct ScaleFlags {
  std::string target;  // APP/DEPLOYMENT
  std::int64_t replicas = 0;
  std::string address;
};

int Scale(const ScaleFlags& flags) {
  const auto fail = [](const std::string& why) {
    std::fprintf(stderr, "penstock scale: %s\n", why.c_str());
    return 1;
  };
  const std::size_t slash = flags.target.rfind('/');
  if (slash == std::string::npos) return fail("'" + flags.target + "' is not APP/DEPLOYMENT");
  const auto info = ChooseInstance(flags.address);
  if (!info.ok()) return fail(info.status().message());
  const nlohmann::json params = {{"app", flags.target.substr(0, slash)},
                                 {"name", flags.target.substr(slash + 1)},
                                 {"target_num_replicas", flags.replicas}};
  const auto answer = base::CallOnce(info->folder, "serve.scale", {params, ""});
  if (!answer.ok()) return fail(answer.status().message());
  return 0;
}

}  // namespace

void AddScale(CLI::App& root, Action& chosen) {
  auto* verb = root.add_subcommand(
      "scale", "Says how many replicas a deployment of an application with an external scaler has");
  const auto flags = std::make_shared<ScaleFlags>();
  verb->add_option("deployment", flags->target, "APP/DEPLOYMENT")->required();
  verb->add_option("replicas", flags->replicas, "How many, from 0")->required();
  verb->add_option("--address", flags->address, "The instance it belongs to");
  verb->callback([flags, &chosen] { chosen = [flags] { return Scale(*flags); }; });
}

}  // namespace penstock::app
