// `penstock simulate`.
#include <cstdio>
#include <fstream>
#include <iostream>
#include <memory>
#include <vector>

#include "app/option_pairs.h"
#include "app/scaling_chart.h"
#include "app/traffic_trace.h"
#include "app/verbs.h"
#include "config/autoscaling_options.h"

namespace penstock::app {
namespace {

constexpr int kChartColumns = 100;

struct Flags {
  std::string trace;
  std::vector<std::string> with;  // OPTION=VALUE
  ServiceTimes service;
  int max_ongoing_requests = 5;
  double startup_s = 1;
  double objective_s = 1;
  bool csv = false;
};

int Fail(const Status& status) {
  std::fprintf(stderr, "penstock simulate: %s\n", status.message().c_str());
  return 1;
}

int Simulate(const Flags& flags) {
  const auto options = OptionPairs(flags.with);
  if (!options.ok()) return Fail(options.status());
  const auto autoscaling = config::ParseAutoscaling(*options);
  if (!autoscaling.ok()) return Fail(autoscaling.status());
  std::ifstream file;
  if (flags.trace != "-") {
    file.open(flags.trace);
    if (!file) return Fail(InvalidArgument("cannot read '" + flags.trace + "'"));
  }
  const auto trace = ReadTrafficTrace(flags.trace == "-" ? std::cin : file, flags.service);
  if (!trace.ok()) return Fail(trace.status());
  control::ScalingTrial trial{.startup_s = flags.startup_s};
  trial.spec.max_ongoing_requests = flags.max_ongoing_requests;
  trial.spec.autoscaling = *autoscaling;
  const auto outcome = control::SimulateScaling(trial, trace->requests, trace->duration_s);
  if (!outcome.ok()) return Fail(outcome.status());
  const double objective_s =
      autoscaling->slo ? autoscaling->slo->waiting_objective_s : flags.objective_s;
  const std::string text =
      flags.csv ? ScalingCsv(*outcome) : ScalingChart(*outcome, objective_s, kChartColumns);
  std::fwrite(text.data(), 1, text.size(), stdout);
  return 0;
}

}  // namespace

void AddSimulate(CLI::App& root, Action& chosen) {
  auto* verb = root.add_subcommand(
      "simulate", "What an autoscaling_config would have done with recorded traffic");
  const auto flags = std::make_shared<Flags>();
  verb->add_option("trace", flags->trace,
                   "A file, or - for the standard input: a line for each second with its requests, "
                   "or for each request 'T_MS,SERVICE_MS'")
      ->required();
  verb->add_option("--with", flags->with,
                   "OPTION=VALUE of autoscaling_config, again and again: --with max_replicas=20 "
                   "--with policy=penstock:slo");
  verb->add_option("--max-ongoing-requests", flags->max_ongoing_requests, "Of a replica, at a time")
      ->check(CLI::Range(1, 1'000'000))
      ->capture_default_str();
  verb->add_option("--startup-s", flags->startup_s, "How long a replica takes to start")
      ->check(CLI::Range(0.0, 86400.0))
      ->capture_default_str();
  verb->add_option("--service-s", flags->service.mean_s,
                   "How long a request is served on average, where the trace does not say")
      ->check(CLI::Range(1e-6, 86400.0))
      ->capture_default_str();
  verb->add_option("--service-deviation", flags->service.deviation,
                   "Standard deviation of that, over the mean; log-normal")
      ->check(CLI::Range(0.0, 10.0))
      ->capture_default_str();
  verb->add_option("--seed", flags->service.seed, "Of the service times")->capture_default_str();
  verb->add_option("--objective-s", flags->objective_s,
                   "A request is in time that waits so long at most; penstock:slo has its own")
      ->check(CLI::Range(0.0, 86400.0))
      ->capture_default_str();
  verb->add_flag("--csv", flags->csv, "A line each second, for programs");
  verb->callback([flags, &chosen] { chosen = [flags] { return Simulate(*flags); }; });
}

}  // namespace penstock::app
