#include "base/metrics.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <utility>

namespace penstock::base {
namespace {

using Json = nlohmann::json;

constexpr std::array<std::pair<MetricKind, const char*>, 3> kKinds{
    {{MetricKind::kCounter, "counter"},
     {MetricKind::kGauge, "gauge"},
     {MetricKind::kHistogram, "histogram"}}};

constexpr std::array<double, 19> kLatencyBounds{1,     2,     5,      10,     20,    50,   100,
                                                200,   300,   400,    500,    1000,  2000, 5000,
                                                10000, 60000, 120000, 300000, 600000};

// JSON has no numbers for these.
constexpr std::array<std::pair<const char*, double>, 3> kNotFinite{
    {{"nan", std::numeric_limits<double>::quiet_NaN()},
     {"inf", std::numeric_limits<double>::infinity()},
     {"-inf", -std::numeric_limits<double>::infinity()}}};

double ValueFrom(const Json& json) {
  if (!json.is_string()) return json.get<double>();
  for (const auto& [name, value] : kNotFinite) {
    if (json == name) return value;
  }
  return json.get<double>();  // throws
}

Json ValueJson(double value) {
  if (std::isfinite(value)) return value;
  if (std::isnan(value)) return "nan";
  return value > 0 ? "inf" : "-inf";
}

Status Misfit(const std::string& name, const char* what) {
  return InvalidArgument("metric '" + name + "': " + what);
}

Status CheckShape(const MetricFamily& family) {
  if (family.name.empty()) return InvalidArgument("a metric without a name");
  const bool histogram = family.kind == MetricKind::kHistogram;
  const bool finite = std::all_of(family.bounds.begin(), family.bounds.end(),
                                  [](double bound) { return std::isfinite(bound); });
  if (!finite || !std::is_sorted(family.bounds.begin(), family.bounds.end())) {
    return Misfit(family.name, "bounds do not ascend");
  }
  const std::size_t buckets = histogram ? family.bounds.size() + 1 : 0;
  for (const MetricSample& sample : family.samples) {
    if (sample.tags.size() != family.tag_keys.size()) {
      return Misfit(family.name, "a series has other tags than its family");
    }
    if (sample.counts.size() != buckets) {
      return Misfit(family.name, "a series has other buckets than its family");
    }
  }
  return {};
}

MetricFamily FamilyFrom(const Json& json) {
  MetricFamily family{.name = json.at("name"),
                      .description = json.at("description"),
                      .tag_keys = json.at("tag_keys").get<std::vector<std::string>>(),
                      .bounds = json.at("bounds").get<std::vector<double>>()};
  for (const auto& [value, name] : kKinds) {
    if (json.at("kind") == name) family.kind = value;
  }
  for (const Json& entry : json.at("samples")) {
    MetricSample sample{.tags = entry.at(0).get<std::vector<std::string>>(),
                        .value = ValueFrom(entry.at(1))};
    for (const Json& count : entry.at(2)) {
      sample.counts.push_back(count.get_ref<const Json::number_unsigned_t&>());
    }
    family.samples.push_back(std::move(sample));
  }
  return family;
}

Json FamilyJson(const MetricFamily& family) {
  const char* kind = "";
  for (const auto& [value, name] : kKinds) {
    if (value == family.kind) kind = name;
  }
  Json json = {{"name", family.name},
               {"kind", kind},
               {"description", family.description},
               {"tag_keys", family.tag_keys},
               {"bounds", family.bounds},
               {"samples", Json::array()}};
  for (const MetricSample& sample : family.samples) {
    json["samples"].push_back(Json::array({sample.tags, ValueJson(sample.value), sample.counts}));
  }
  return json;
}

}  // namespace

Json ToJson(const std::vector<MetricFamily>& families) {
  Json json = Json::array();
  for (const MetricFamily& family : families) json.push_back(FamilyJson(family));
  return json;
}

Result<std::vector<MetricFamily>> MetricsFromJson(const Json& json) {
  std::vector<MetricFamily> families;
  try {  // the library reports a missing or mistyped field by throwing
    for (const Json& entry : json.get_ref<const Json::array_t&>()) {
      const Json& kind = entry.at("kind");
      if (std::none_of(kKinds.begin(), kKinds.end(),
                       [&](const auto& known) { return kind == known.second; })) {
        return InvalidArgument("metrics: unknown kind " + kind.dump());
      }
      families.push_back(FamilyFrom(entry));
      if (Status bad = CheckShape(families.back()); !bad.ok()) return bad;
    }
  } catch (const Json::exception& error) {
    return InvalidArgument(std::string("metrics: ") + error.what());
  }
  return families;
}

std::span<const double> LatencyBounds() { return kLatencyBounds; }

void Histogram::Observe(double value) {
  const auto bound = std::lower_bound(bounds_.begin(), bounds_.end(), value);
  ++counts_[static_cast<std::size_t>(bound - bounds_.begin())];
  sum_ += value;
}

}  // namespace penstock::base
