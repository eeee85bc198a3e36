#include "control/state.h"

#include "penstock/check.h"
#include "resources/demand.h"

namespace penstock::control {

resources::Demand DemandOf(const Deployment& deployment) {
  auto demand = resources::MakeDemand(deployment.target.spec.replica_resources);
  PENSTOCK_CHECK(demand.ok());  // the options were checked when the deploy was accepted
  if (const auto& most = deployment.target.spec.max_replicas_per_node) {
    const std::string name =
        std::string(resources::kImplicitPrefix) + deployment.id.app + ":" + deployment.id.name;
    demand->amounts.Set(name, Quantity::Raw(Quantity::kScale / *most));
  }
  return *demand;
}

NodeFacts FactsOf(const State& state) {
  NodeFacts facts;
  for (const auto& node : state.cluster.nodes()) {
    if (!node.alive) continue;
    const auto& spec = node.resources.spec();
    facts[spec.id] = {.is_head = spec.is_head, .labels = spec.labels};
  }
  for (const auto& [id, deployment] : state.deployments) {
    for (const Replica& replica : deployment.replicas) {
      const bool runs = replica.state == ReplicaState::kRunning;
      if (runs && facts.contains(replica.node)) ++facts[replica.node].running_replicas;
    }
  }
  return facts;
}

}  // namespace penstock::control
