// `penstock explain`.
#include <cstdio>
#include <memory>
#include <vector>

#include "app/choose_instance.h"
#include "app/option_pairs.h"
#include "app/scaling_text.h"
#include "app/verbs.h"
#include "base/call_once.h"

namespace penstock::app {
namespace {

using Json = nlohmann::json;

struct ScalingFlags {
  std::string target;  // APP/DEPLOYMENT
  std::string address;
  std::vector<std::string> with;  // OPTION=VALUE
  bool json = false;
};

int Fail(const std::string& why) {
  std::fprintf(stderr, "penstock explain: %s\n", why.c_str());
  return 1;
}

int ExplainScaling(const ScalingFlags& flags) {
  const std::size_t slash = flags.target.rfind('/');
  if (slash == std::string::npos) {
    return Fail("'" + flags.target + "' is not APP/DEPLOYMENT");
  }
  const auto options = OptionPairs(flags.with);
  if (!options.ok()) return Fail(options.status().message());
  const auto info = ChooseInstance(flags.address);
  if (!info.ok()) return Fail(info.status().message());
  Json params = {{"app", flags.target.substr(0, slash)}, {"name", flags.target.substr(slash + 1)}};
  if (!options->empty()) params["with"] = *options;
  const auto answer = base::CallOnce(info->folder, "serve.explain_scaling", {params, ""});
  if (!answer.ok()) return Fail(answer.status().message());
  std::printf(
      "%s", flags.json ? (answer->json.dump(2) + "\n").c_str() : ScalingText(answer->json).c_str());
  return 0;
}

}  // namespace

void AddExplain(CLI::App& root, Action& chosen) {
  auto* verb = root.add_subcommand("explain", "Why it is as it is");
  verb->require_subcommand(1);
  auto* scaling =
      verb->add_subcommand("scaling", "Why a deployment has as many replicas as it has");
  const auto flags = std::make_shared<ScalingFlags>();
  scaling->add_option("deployment", flags->target, "APP/DEPLOYMENT")->required();
  scaling->add_option("--address", flags->address, "The instance it belongs to");
  scaling->add_option("--with", flags->with,
                      "OPTION=VALUE of autoscaling_config: what would have been decided with it");
  scaling->add_flag("--json", flags->json, "For programs");
  scaling->callback([flags, &chosen] { chosen = [flags] { return ExplainScaling(*flags); }; });
}

}  // namespace penstock::app
