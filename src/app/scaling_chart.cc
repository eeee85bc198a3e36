#include "app/scaling_chart.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <iterator>
#include <vector>

namespace penstock::app {
namespace {

using control::ScalingOutcome;
using control::ScalingSecond;
using Value = std::function<double(const ScalingSecond&)>;

constexpr int kRows = 5;
constexpr std::array<const char*, 9> kEighths{" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};

// The largest value of each column.
std::vector<double> Columns(const ScalingOutcome& outcome, const Value& value, int width) {
  const std::size_t seconds = outcome.seconds.size();
  const std::size_t columns = std::min(static_cast<std::size_t>(width), seconds);
  std::vector<double> largest(columns);
  for (std::size_t i = 0; i < seconds; ++i) {
    double& column = largest[i * columns / seconds];
    column = std::max(column, value(outcome.seconds[i]));
  }
  return largest;
}

std::string Band(const std::string& title, const std::vector<double>& columns) {
  const double most = *std::ranges::max_element(columns);
  std::string text = title + "\n";
  for (int row = kRows - 1; row >= 0; --row) {
    text += fmt::format("{:>8} |", row == kRows - 1 ? fmt::format("{:.4g}", most)
                                   : row == 0       ? "0"
                                                    : "");
    for (const double value : columns) {
      const double rows = most > 0 ? value / most * kRows - row : 0;
      text += kEighths[static_cast<std::size_t>(std::clamp(std::ceil(rows * 8), 0.0, 8.0))];
    }
    text += "\n";
  }
  return text;
}

double Quantile(const std::vector<float>& sorted, double share) {
  if (sorted.empty()) return 0;
  const double at = share * static_cast<double>(sorted.size() - 1);
  return sorted[static_cast<std::size_t>(at)];
}

}  // namespace

std::string ScalingChart(const ScalingOutcome& outcome, double objective_s, int width) {
  const auto band = [&](const char* title, const Value& value) {
    return Band(title, Columns(outcome, value, width));
  };
  std::string text =
      band("replicas, those that start included",
           [](const auto& s) { return static_cast<double>(s.ready + s.starting); }) +
      band("ongoing requests", [](const auto& s) { return s.queued + s.running; }) +
      band("longest wait, in seconds", [](const auto& s) { return s.longest_wait_s; });
  std::vector<float> waits = outcome.waits_s;
  std::ranges::sort(waits);
  const auto in_time = static_cast<double>(std::distance(
      waits.begin(), std::ranges::upper_bound(waits, static_cast<float>(objective_s))));
  const auto seconds = static_cast<double>(outcome.seconds.size());
  const auto requests = static_cast<double>(waits.size());
  int changes = 0;
  for (std::size_t i = 1; i < outcome.seconds.size(); ++i) {
    changes += outcome.seconds[i].target != outcome.seconds[i - 1].target ? 1 : 0;
  }
  text += fmt::format("\n{} requests in {} s\n", waits.size(), outcome.seconds.size());
  text += fmt::format(
      "started within {:.4g} s: {:.2f} %; wait p50 {:.3g} s, p99 {:.3g} s, max {:.3g} s\n",
      objective_s, requests > 0 ? 100 * in_time / requests : 100, Quantile(waits, 0.5),
      Quantile(waits, 0.99), Quantile(waits, 1));
  text += fmt::format(
      "{:.0f} replica-seconds, {:.2f} replicas on average; {} starts, the target changed {} "
      "times\n",
      outcome.replica_seconds, outcome.replica_seconds / seconds, outcome.starts, changes);
  return text;
}

std::string ScalingCsv(const ScalingOutcome& outcome) {
  std::string text = "t_s,target,ready,starting,queued,running,longest_wait_s\n";
  for (std::size_t i = 0; i < outcome.seconds.size(); ++i) {
    const ScalingSecond& s = outcome.seconds[i];
    fmt::format_to(std::back_inserter(text), "{},{},{},{},{},{},{:.3f}\n", i + 1, s.target, s.ready,
                   s.starting, s.queued, s.running, s.longest_wait_s);
  }
  return text;
}

}  // namespace penstock::app
