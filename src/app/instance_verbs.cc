// `penstock stop` and `penstock status`.
#include <poll.h>
#include <signal.h>

#include <chrono>
#include <cstdio>
#include <memory>

#include "app/choose_instance.h"
#include "app/status_text.h"
#include "app/verbs.h"
#include "base/call_once.h"
#include "base/fd.h"
#include "base/instance.h"

namespace penstock::app {
namespace {

// How long an instance may take to end its replicas before it is killed.
constexpr std::chrono::milliseconds kStopPatience = std::chrono::seconds(15);

int Fail(const char* verb, const std::string& message) {
  std::fprintf(stderr, "penstock %s: %s\n", verb, message.c_str());
  return 1;
}

// False when it has not ended in time.
bool Ended(const base::UniqueFd& pidfd) {
  pollfd ended{.fd = pidfd.get(), .events = POLLIN, .revents = 0};
  return !pidfd || ::poll(&ended, 1, static_cast<int>(kStopPatience.count())) != 0;
}

// Asks the head's agent to end, and waits for it, for its guard, and for the further nodes, which
// end with their head.
void StopInstance(const base::InstanceInfo& info) {
  const base::UniqueFd guard = info.guard.Open();
  const base::UniqueFd agent = info.agent.Open();
  base::SignalThrough(agent, SIGTERM);
  if (!Ended(agent)) base::SignalThrough(agent, SIGKILL);
  Ended(guard);
  if (!base::WaitForMembers({info.folder}, kStopPatience)) {
    std::fprintf(stderr, "penstock stop: a node of %s has not ended yet\n", info.Address().c_str());
  }
  std::printf("stopped %s\n", info.Address().c_str());
}

int Stop(const std::string& address) {
  if (!address.empty()) {
    const auto info = base::FindInstance(address);
    if (!info.ok()) return Fail("stop", info.status().message());
    StopInstance(*info);
    return 0;
  }
  const auto live = base::LiveInstances();
  if (!live.ok()) return Fail("stop", live.status().message());
  bool any = false;
  for (const auto& info : *live) {
    if (info.embedded) continue;  // a script's own
    any = true;
    StopInstance(info);
  }
  if (!any) std::printf("no instance is running\n");
  return 0;
}

int ShowStatus(const std::string& address, bool json) {
  const auto info = ChooseInstance(address);
  if (!info.ok()) return Fail("status", info.status().message());
  const auto serve = base::CallOnce(info->folder, "serve.status", {});
  const auto cluster = base::CallOnce(info->folder, "cluster.resources", {});
  for (const Status& bad : {serve.status(), cluster.status()}) {
    if (!bad.ok()) return Fail("status", bad.message());
  }
  if (json) {
    nlohmann::json all = serve->json;
    all["cluster"] = cluster->json;
    std::printf("%s\n", all.dump(2).c_str());
  } else {
    std::printf("%s", StatusText(serve->json, cluster->json).c_str());
  }
  return 0;
}

}  // namespace

void AddStop(CLI::App& root, Action& chosen) {
  auto* verb = root.add_subcommand("stop", "Stop every started instance, or one");
  const auto address = std::make_shared<std::string>();
  verb->add_option("--address", *address, "The instance to stop");
  verb->add_flag_function(
      "--force", [](std::int64_t) {}, "Accepted for Ray's sake; an instance is always ended whole");
  verb->callback([address, &chosen] { chosen = [address] { return Stop(*address); }; });
}

void AddStatus(CLI::App& root, Action& chosen) {
  auto* verb = root.add_subcommand("status", "Nodes, applications, replicas: who has what");
  const auto address = std::make_shared<std::string>();
  const auto json = std::make_shared<bool>(false);
  verb->add_option("--address", *address, "The instance to show");
  verb->add_flag("--json", *json, "For programs");
  verb->callback([=, &chosen] { chosen = [=] { return ShowStatus(*address, *json); }; });
}

}  // namespace penstock::app
