// Connections to the processes of autoscaling policies.
//
// Thread: the controller's loop.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "base/control_link.h"
#include "base/loop.h"
#include "control/policy_port.h"

namespace penstock::control {

class PolicyLinks final : public PolicyPort {
 public:
  explicit PolicyLinks(base::Loop& loop) : loop_(loop) {}

  void Ask(const std::string& socket, const nlohmann::json& context,
           std::function<void(Result<double>)> done) override;
  void Forget(const std::string& socket) override;

 private:
  base::Loop& loop_;
  std::map<std::string, std::unique_ptr<base::ControlLink>> links_;  // by socket
};

}  // namespace penstock::control
