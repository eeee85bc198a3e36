// What all processes have counted, as Prometheus' text with Ray's names and labels.
#pragma once

#include <string>
#include <vector>

#include "base/metric_source.h"

namespace penstock::monitor {

// Labels that every sample gets, beside its source's `Component` and `WorkerId`.
struct InstanceLabels {
  std::string node_address;
  std::string session_name;
  std::string version;
};

// Prefix `ray_`; counters end in `_total`. Of two families of one name and different kinds the
// first is shown. A family whose name Prometheus does not take is left out.
std::string Exposition(const std::vector<base::MetricSource>& sources,
                       const InstanceLabels& labels);

}  // namespace penstock::monitor
