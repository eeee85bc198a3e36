// The devices that a node may give away: those its own environment shows.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/environment.h"
#include "penstock/status.h"
#include "resources/resource_set.h"

namespace penstock::detect {

// As in resources::NodeSpec.
struct VisibleDevices {
  std::map<std::string, std::vector<std::string>, std::less<>>
      ids;                 // by resource, as many as declared
  std::string gpu_vendor;  // whose variable was set; "" when none was
};

// Names the devices of `totals` by the visible-device variables in `environment`; those of a
// family whose variable is not set have no entry. kInvalidArgument, naming the variable, when
// more are declared than it shows. Source: behaviour specification, 3.3 and 3.4.
Result<VisibleDevices> NameDevices(const resources::ResourceSet& totals,
                                   const base::Environment& environment);

}  // namespace penstock::detect
