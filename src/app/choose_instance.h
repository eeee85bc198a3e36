// Which instance a command is about.
#pragma once

#include <string>

#include "base/instance.h"

namespace penstock::app {

// The one at `address`, else the one that PENSTOCK_ADDRESS names; without either the started one,
// or the only embedded one. kNotFound, which lists what there is when that is several.
Result<base::InstanceInfo> ChooseInstance(const std::string& address);

}  // namespace penstock::app
