#include "app/traffic_trace.h"

#include <algorithm>
#include <cmath>
#include <random>
#include <sstream>
#include <string>

namespace penstock::app {
namespace {

constexpr double kMostRequests = 1e8;
constexpr double kMostSeconds = 1e7;

Status Bad(std::int64_t number, const std::string& line) {
  return InvalidArgument("line " + std::to_string(number) +
                         ": must be a second's requests, or 'T_MS,SERVICE_MS' with T_MS not before "
                         "the line above's, numbers from 0; it is '" +
                         line + "'");
}

// 1 or 2 numbers of a line; anything else is none.
std::vector<double> Numbers(std::string line) {
  std::ranges::replace(line, ',', ' ');
  std::istringstream text(line);
  std::vector<double> numbers;
  for (double number = 0; text >> number;) {
    if (!std::isfinite(number) || number < 0 || numbers.size() == 2) return {};
    numbers.push_back(number);
  }
  return text.eof() ? numbers : std::vector<double>();
}

// Log-normal: service times have a long tail and none is below 0.
class Service {
 public:
  explicit Service(const ServiceTimes& times)
      : random_(times.seed),
        spread_(std::sqrt(std::log1p(times.deviation * times.deviation))),
        normal_(std::log(times.mean_s) - spread_ * spread_ / 2, 1) {}

  double Draw() { return std::exp(normal_.mean() + spread_ * (normal_(random_) - normal_.mean())); }

 private:
  std::mt19937_64 random_;
  double spread_;
  std::normal_distribution<double> normal_;
};

}  // namespace

Result<TrafficTrace> ReadTrafficTrace(std::istream& text, const ServiceTimes& times) {
  TrafficTrace trace;
  Service service(times);
  std::size_t columns = 0;
  std::int64_t number = 0;
  double last_s = 0;
  for (std::string line; std::getline(text, line);) {
    ++number;
    line.erase(std::min(line.find('#'), line.size()));
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    const std::vector<double> numbers = Numbers(line);
    if (columns == 0) columns = numbers.size();
    if (numbers.empty() || numbers.size() != columns) return Bad(number, line);
    const double more = columns == 1 ? std::round(numbers[0]) : 1;
    const double at_s = columns == 1 ? static_cast<double>(trace.duration_s) : numbers[0] / 1000;
    if (at_s < last_s || at_s > kMostSeconds ||
        static_cast<double>(trace.requests.size()) + more > kMostRequests) {
      return Bad(number, line);
    }
    last_s = at_s;
    for (double i = 0; i < more; ++i) {
      trace.requests.push_back({.at_s = columns == 1 ? at_s + i / more : at_s,
                                .service_s = columns == 1 ? service.Draw() : numbers[1] / 1000});
    }
    trace.duration_s = static_cast<std::int64_t>(std::floor(at_s)) + 1;
  }
  if (trace.duration_s == 0) return InvalidArgument("the trace is empty");
  return trace;
}

}  // namespace penstock::app
