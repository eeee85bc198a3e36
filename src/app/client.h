// A blocking call to a running instance, for the command line.
#pragma once

#include <string>

#include "base/message.h"
#include "penstock/status.h"
#include "penstock/units.h"

namespace penstock::app {

// Calls `method` of the controller in `folder`. kUnavailable when it does not answer,
// kDeadlineExceeded after `timeout`.
Result<base::Message> CallInstance(const std::string& folder, const std::string& method,
                                   const base::Message& params,
                                   Duration timeout = std::chrono::seconds(30));

}  // namespace penstock::app
