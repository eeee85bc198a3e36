// `penstock autoscale`: the waiting-time policy, driven by lines instead of a deployment.
#include <cstdio>
#include <iostream>
#include <memory>
#include <string>

#include "app/scale_lines.h"
#include "app/verbs.h"

namespace penstock::app {
namespace {

// Until input ends. A line that cannot be read ends it with its number and what was expected.
int ServeLines(const SloSpec& objective, bool learn_startup) {
  std::string line;
  if (!std::getline(std::cin, line)) return 0;
  auto scaler = LineScaler::Open(line, objective, learn_startup);
  if (!scaler.ok()) {
    std::fprintf(stderr, "penstock autoscale: %s\n", scaler.status().message().c_str());
    return 2;
  }
  for (int number = 2; std::getline(std::cin, line); ++number) {
    const auto target = scaler->Tick(line);
    if (!target.ok()) {
      std::fprintf(stderr, "penstock autoscale: line %d: %s\n", number,
                   target.status().message().c_str());
      return 2;
    }
    std::printf("%d\n", *target);
    std::fflush(stdout);
  }
  return 0;
}

}  // namespace

void AddAutoscale(CLI::App& root, Action& chosen) {
  struct Flags {
    SloSpec objective;
    bool stdio = false;
    bool learn_startup = false;
  };
  auto* verb = root.add_subcommand(
      "autoscale", "size a simulated deployment with the policy penstock:slo, line by line");
  const auto flags = std::make_shared<Flags>();
  verb->add_flag("--stdio", flags->stdio,
                 "read 'CFG startup_s= max_ongoing= wait_slo_s= min= max=', then once a second 't "
                 "arrivals completed queued running ready starting target'; write the target")
      ->required();
  verb->add_option("--attainment", flags->objective.attainment,
                   "share of requests that shall start within the waiting objective")
      ->check(CLI::Range(0.5, 0.9999))
      ->capture_default_str();
  verb->add_flag("--learn-startup", flags->learn_startup,
                 "do not believe startup_s, learn it from the replicas that start");
  verb->callback([flags, &chosen] {
    chosen = [flags] { return ServeLines(flags->objective, flags->learn_startup); };
  });
}

}  // namespace penstock::app
