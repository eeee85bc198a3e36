// The devices that a node may give away: those its own environment shows.
#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/environment.h"
#include "detect/accelerators.h"
#include "penstock/status.h"
#include "resources/resource_set.h"

namespace penstock::detect {

// As in resources::NodeSpec.
struct VisibleDevices {
  std::map<std::string, std::vector<std::string>, std::less<>>
      ids;                 // by resource, as many as declared
  std::string gpu_vendor;  // whose variable was set, else whose GPUs were detected; "" for neither
};

// How many devices of `resource` the environment shows; nullopt when it does not say.
std::optional<std::size_t> ShownDevices(const std::string& resource,
                                        const base::Environment& environment);

// Names the devices of `totals` by the visible-device variables in `environment`, else as they were
// detected; what has no names has no entry: its numbers do. kInvalidArgument, naming the variable,
// when more are declared than it shows. Source: behaviour specification, 3.3 and 3.4.
Result<VisibleDevices> NameDevices(const resources::ResourceSet& totals,
                                   const base::Environment& environment,
                                   const std::vector<Accelerators>& detected = {});

}  // namespace penstock::detect
