#include "monitor/exposition.h"

#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include <algorithm>
#include <cctype>
#include <map>
#include <string_view>
#include <utility>

namespace penstock::monitor {
namespace {

using base::MetricFamily;
using base::MetricKind;
using base::MetricSample;
using base::MetricSource;
using prometheus::ClientMetric;
using prometheus::MetricType;
using Labels = std::vector<ClientMetric::Label>;

bool IsNameCharacter(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_';
}

bool IsName(const std::string& name) {
  return std::all_of(name.begin(), name.end(),
                     [](char c) { return IsNameCharacter(c) || c == ':'; });
}

std::string ExposedName(const MetricFamily& family) {
  std::string name = "ray_" + family.name;
  if (family.kind == MetricKind::kCounter && !name.ends_with("_total")) name += "_total";
  return name;
}

MetricType TypeOf(MetricKind kind) {
  if (kind == MetricKind::kCounter) return MetricType::Counter;
  return kind == MetricKind::kGauge ? MetricType::Gauge : MetricType::Histogram;
}

// What users name their tags, Prometheus may not.
std::string LabelName(const std::string& key) {
  std::string name = key;
  std::replace_if(
      name.begin(), name.end(), [](char c) { return !IsNameCharacter(c); }, '_');
  if (name.empty() || std::isdigit(static_cast<unsigned char>(name.front())) != 0) {
    name.insert(name.begin(), '_');
  }
  return name == "le" ? "exported_le" : name;  // that one is a histogram's bound
}

void AddLabel(Labels& labels, const std::string& name, const std::string& value) {
  const bool taken = std::any_of(labels.begin(), labels.end(),
                                 [&](const auto& label) { return label.name == name; });
  if (!taken) labels.push_back({name, value});
}

Labels LabelsOf(const MetricSource& source, const MetricFamily& family, const MetricSample& sample,
                const InstanceLabels& instance) {
  Labels labels;
  for (std::size_t i = 0; i < family.tag_keys.size(); ++i) {
    AddLabel(labels, LabelName(family.tag_keys[i]), sample.tags[i]);
  }
  AddLabel(labels, "Component", source.component);
  AddLabel(labels, "NodeAddress", instance.node_address);
  AddLabel(labels, "SessionName", instance.session_name);
  AddLabel(labels, "Version", instance.version);
  AddLabel(labels, "WorkerId", source.worker);
  return labels;
}

ClientMetric::Histogram HistogramOf(const MetricFamily& family, const MetricSample& sample) {
  ClientMetric::Histogram histogram{.sample_sum = sample.value};
  for (std::size_t i = 0; i < sample.counts.size(); ++i) {
    histogram.sample_count += sample.counts[i];
    if (i == family.bounds.size()) break;  // the last one, without a bound
    histogram.bucket.push_back({histogram.sample_count, family.bounds[i]});
  }
  return histogram;
}

ClientMetric MetricOf(const MetricFamily& family, const MetricSample& sample, Labels labels) {
  ClientMetric metric;
  metric.label = std::move(labels);
  if (family.kind == MetricKind::kCounter) {
    metric.counter.value = sample.value;
  } else if (family.kind == MetricKind::kGauge) {
    metric.gauge.value = sample.value;
  } else {
    metric.histogram = HistogramOf(family, sample);
  }
  return metric;
}

// One line.
std::string Help(std::string text) {
  std::replace_if(
      text.begin(), text.end(), [](char c) { return c == '\n' || c == '\r' || c == '\\'; }, ' ');
  return text;
}

}  // namespace

std::string Exposition(const std::vector<MetricSource>& sources, const InstanceLabels& labels) {
  std::map<std::string, prometheus::MetricFamily> exposed;
  for (const MetricSource& source : sources) {
    for (const MetricFamily& family : source.families) {
      const std::string name = ExposedName(family);
      if (!IsName(name) || family.samples.empty()) continue;
      const auto [entry, fresh] = exposed.try_emplace(name);
      auto& shown = entry->second;
      if (fresh) {
        shown.name = name;
        shown.help = Help(family.description);
        shown.type = TypeOf(family.kind);
      }
      if (shown.type != TypeOf(family.kind)) continue;
      for (const MetricSample& sample : family.samples) {
        shown.metric.push_back(MetricOf(family, sample, LabelsOf(source, family, sample, labels)));
      }
    }
  }
  std::vector<prometheus::MetricFamily> families;
  families.reserve(exposed.size());
  for (auto& [name, family] : exposed) families.push_back(std::move(family));
  return prometheus::TextSerializer().Serialize(families);
}

}  // namespace penstock::monitor
