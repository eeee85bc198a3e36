// What a process has counted and measured, as values that travel.
//
// Names are Ray's without the prefix `ray_`. Who counts keeps plain numbers; families are made
// when somebody asks (docs/design/metrics.md).
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "penstock/status.h"

namespace penstock::base {

enum class MetricKind { kCounter, kGauge, kHistogram };

// One series of a family.
struct MetricSample {
  std::vector<std::string> tags;      // a value for each of the family's keys
  double value = 0;                   // of a histogram: the sum of what was observed
  std::vector<std::uint64_t> counts;  // of a histogram: by bucket; the last one has no bound

  friend bool operator==(const MetricSample&, const MetricSample&) = default;
};

struct MetricFamily {
  std::string name;
  MetricKind kind = MetricKind::kCounter;
  std::string description;
  std::vector<std::string> tag_keys;
  std::vector<double> bounds;  // of a histogram: upper bounds, ascending
  std::vector<MetricSample> samples;

  friend bool operator==(const MetricFamily&, const MetricFamily&) = default;
};

nlohmann::json ToJson(const std::vector<MetricFamily>& families);

// kInvalidArgument for what is none, or has series that do not fit their family.
Result<std::vector<MetricFamily>> MetricsFromJson(const nlohmann::json& json);

// Ray Serve's buckets for latencies, in milliseconds.
std::span<const double> LatencyBounds();

// A histogram that is being filled.
class Histogram {
 public:
  // `bounds` are borrowed and ascend.
  explicit Histogram(std::span<const double> bounds)
      : bounds_(bounds), counts_(bounds.size() + 1) {}

  void Observe(double value);

  MetricSample Sample(std::vector<std::string> tags) const {
    return {std::move(tags), sum_, counts_};
  }

 private:
  std::span<const double> bounds_;
  std::vector<std::uint64_t> counts_;
  double sum_ = 0;
};

}  // namespace penstock::base
