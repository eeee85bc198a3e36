// `penstock drain`.
#include <cstdio>
#include <memory>
#include <optional>

#include "app/choose_instance.h"
#include "app/verbs.h"
#include "base/call_once.h"

namespace penstock::app {
namespace {

struct DrainFlags {
  std::string node;
  std::string address;
  std::optional<double> deadline_s;
  bool undo = false;
  bool wait = false;
};

int Drain(const DrainFlags& flags) {
  const auto fail = [](const Status& why) {
    std::fprintf(stderr, "penstock drain: %s\n", why.message().c_str());
    return 1;
  };
  const auto info = ChooseInstance(flags.address);
  if (!info.ok()) return fail(info.status());
  nlohmann::json params = {{"node", flags.node}, {"wait", flags.wait}};
  if (flags.deadline_s) params["deadline_s"] = *flags.deadline_s;
  constexpr Duration kForever = std::chrono::hours(24 * 365);
  const auto answer = base::CallOnce(info->folder, flags.undo ? "node.undrain" : "node.drain",
                                     {params, ""}, {.timeout = kForever});
  if (!answer.ok()) return fail(answer.status());
  const char* now = flags.undo ? "takes replicas again" : flags.wait ? "is empty" : "drains";
  std::printf("node '%s' %s\n", flags.node.c_str(), now);
  return 0;
}

}  // namespace

void AddDrain(CLI::App& root, Action& chosen) {
  auto* verb = root.add_subcommand("drain", "Move what serves on a node to others, losing nothing");
  const auto flags = std::make_shared<DrainFlags>();
  verb->add_option("node", flags->node, "Its name or id")->required();
  verb->add_option("--address", flags->address, "The instance it belongs to");
  verb->add_option("--deadline-s", flags->deadline_s,
                   "When it goes, in seconds from now, whatever runs there; default never");
  verb->add_flag("--wait", flags->wait, "Return when nothing is left on it");
  verb->add_flag("--undo", flags->undo, "Take it into use again");
  verb->callback([flags, &chosen] { chosen = [flags] { return Drain(*flags); }; });
}

}  // namespace penstock::app
