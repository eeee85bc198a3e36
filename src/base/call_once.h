// One blocking call to the controller of an instance, on a connection of its own.
//
// For the command line and for drivers, which ask seldom. Any thread.
#pragma once

#include <functional>
#include <string>

#include "base/message.h"
#include "penstock/status.h"
#include "penstock/units.h"

namespace penstock::base {

struct CallOptions {
  Duration timeout = std::chrono::seconds(30);
  // Asked ten times a second while waiting; true gives up with kCancelled.
  std::function<bool()> interrupted;
};

// Calls `method` of the controller in `folder`. kUnavailable when it does not answer,
// kDeadlineExceeded after the time-out.
Result<Message> CallOnce(const std::string& folder, const std::string& method,
                         const Message& params, const CallOptions& options = {});

}  // namespace penstock::base
