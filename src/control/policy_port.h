// The port between the autoscaler and policies of the user's, which run in processes of their own.
//
// Thread: the controller's loop, both ways.
#pragma once

#include <functional>
#include <nlohmann/json.hpp>
#include <string>

#include "penstock/ids.h"
#include "penstock/status.h"

namespace penstock::control {

class PolicyPort {
 public:
  virtual ~PolicyPort() = default;

  // Asks the policy that listens at `socket` how many replicas a deployment is to have; `context`
  // is what it may know (docs/design/control-protocol.md). `done` is called before this returns or
  // later: with the count, a finite number >= 0; with kUnavailable while there is nobody to ask; or
  // with what the policy raised.
  virtual void Ask(const std::string& socket, const nlohmann::json& context,
                   std::function<void(Result<double>)> done) = 0;

  // Nobody will be asked at `socket` any more.
  virtual void Forget(const std::string& socket) = 0;
};

}  // namespace penstock::control
