#include "app/scale_lines.h"

#include <array>
#include <map>
#include <sstream>

namespace penstock::app {
namespace {

struct Setting {
  const char* name;
  double least;
  double most;
};

// Ranges are those of the options that stand for them in a deployment.
constexpr std::array<Setting, 5> kSettings{{{"startup_s", 0.001, 3600},
                                            {"max_ongoing", 1, 1e6},
                                            {"wait_slo_s", 0.001, 600},
                                            {"min", 0, 1e6},
                                            {"max", 1, 1e6}}};

Result<double> ReadSetting(const std::map<std::string, std::string>& words,
                           const Setting& setting) {
  const auto found = words.find(setting.name);
  double value = 0;
  std::istringstream text(found == words.end() ? "" : found->second);
  const bool good =
      (text >> value) && text.eof() && value >= setting.least && value <= setting.most;
  if (good) return value;
  std::ostringstream message;
  message << setting.name << ": "
          << (found == words.end() ? "missing" : "'" + found->second + "' given")
          << ", allowed are numbers from " << setting.least << " to " << setting.most;
  return InvalidArgument(message.str());
}

}  // namespace

Result<LineScaler> LineScaler::Open(const std::string& line, SloSpec objective,
                                    bool learn_startup) {
  std::istringstream words(line);
  std::string word;
  if (!(words >> word) || word != "CFG") {
    return InvalidArgument("the first line must begin with CFG, it is '" + line + "'");
  }
  std::map<std::string, std::string> given;
  while (words >> word) given[word.substr(0, word.find('='))] = word.substr(word.find('=') + 1);
  std::array<double, kSettings.size()> values{};
  for (std::size_t i = 0; i < kSettings.size(); ++i) {
    const auto value = ReadSetting(given, kSettings[i]);
    if (!value.ok()) return value.status();
    values[i] = *value;
  }
  const auto [startup_s, max_ongoing, waiting_s, min, max] = values;
  if (min > max) return InvalidArgument("min must not exceed max: '" + line + "'");
  if (!learn_startup) objective.startup_s = startup_s;
  objective.waiting_objective_s = waiting_s;
  return LineScaler({.objective = objective,
                     .max_ongoing = static_cast<int>(max_ongoing),
                     .min_replicas = static_cast<int>(min),
                     .max_replicas = static_cast<int>(max)});
}

Result<int> LineScaler::Tick(const std::string& line) {
  constexpr double kMost = 1e9;
  std::istringstream text(line);
  std::array<double, 8> numbers{};
  for (double& number : numbers) {
    if (!(text >> number) || number < 0 || number > kMost) {
      return InvalidArgument(
          "must be 't arrivals completed queued running ready starting target', numbers from 0 to "
          "1e9; it is '" +
          line + "'");
    }
  }
  const auto [t, arrivals, completed, queued, running, ready, starting, target] = numbers;
  return policy_
      .Tick({.now = TimePoint() + FromSeconds(t),
             .arrivals = arrivals,
             .completed = completed,
             .queued = queued,
             .running = running,
             .ready = static_cast<int>(ready),
             .starting = static_cast<int>(starting)})
      .target;
}

}  // namespace penstock::app
