// Orders, events and node specs as the control protocol carries them between controller and
// agents. docs/design/control-protocol.md lists the shapes.
#pragma once

#include <nlohmann/json.hpp>

#include "engine/engine.h"
#include "penstock/status.h"

namespace penstock::engine::local {

nlohmann::json ToJson(const ReplicaId& id);
nlohmann::json ToJson(const resources::NodeSpec& node);
nlohmann::json ToJson(const resources::Allocation& allocation);
nlohmann::json ToJson(const Gang& gang);
nlohmann::json ToJson(const Rank& rank);
nlohmann::json ToJson(const LoggingSpec& logging);
nlohmann::json ToJson(const StartOrder& order);
nlohmann::json ToJson(const ReconfigureOrder& order);
nlohmann::json ToJson(const StopOrder& order);
nlohmann::json ToJson(const ProxyOrder& order);
nlohmann::json ToJson(const CodeHostOrder& order);
nlohmann::json ToJson(const ReplicaEvent& event);
nlohmann::json ToJson(const AdoptedReplica& replica);

// What a zygote answers: the process that it forked, or why it did not.
struct ForkAnswer {
  int pid = 0;
  std::string why_not;  // "" exactly when there is a process
  bool ends = false;    // it will not fork any more
};
nlohmann::json ToJson(const ForkAnswer& answer);

// Inverses; kInvalidArgument when a field is missing or of the wrong type, or an amount is one
// that no node has.
Result<resources::NodeSpec> NodeSpecFrom(const nlohmann::json& json);
Result<StartOrder> StartOrderFrom(const nlohmann::json& json);
Result<ReconfigureOrder> ReconfigureOrderFrom(const nlohmann::json& json);
Result<StopOrder> StopOrderFrom(const nlohmann::json& json);
Result<ProxyOrder> ProxyOrderFrom(const nlohmann::json& json);
Result<CodeHostOrder> CodeHostOrderFrom(const nlohmann::json& json);
Result<ReplicaEvent> ReplicaEventFrom(const nlohmann::json& json);
Result<AdoptedReplica> AdoptedReplicaFrom(const nlohmann::json& json);
Result<ForkAnswer> ForkAnswerFrom(const nlohmann::json& json);

}  // namespace penstock::engine::local
