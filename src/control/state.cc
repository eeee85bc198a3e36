#include "control/state.h"

#include "control/rollout.h"
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

std::optional<placement::GroupDemand> GroupOf(const Deployment& deployment) {
  const DeploymentSpec& spec = deployment.target.spec;
  if (!spec.placement_group && !spec.gang) return std::nullopt;
  std::vector<resources::Demand> bundles;
  if (!spec.placement_group) {
    bundles = {DemandOf(deployment)};
  } else {
    const auto& group = *spec.placement_group;
    for (std::size_t i = 0; i < group.bundles.size(); ++i) {
      const auto labels = group.label_selectors.empty() ? std::map<std::string, std::string>()
                                                        : group.label_selectors[i];
      const auto bundle = resources::MakeBundle(group.bundles[i], labels);
      PENSTOCK_CHECK(bundle.ok());  // as above
      bundles.push_back(*bundle);
    }
    bundles.front() = resources::AtLeast(bundles.front(), DemandOf(deployment));
  }
  placement::GroupDemand all;
  all.strategy = spec.gang ? spec.gang->strategy : spec.placement_group->strategy;
  for (int i = 0; i < GangSize(spec); ++i) {
    all.bundles.insert(all.bundles.end(), bundles.begin(), bundles.end());
  }
  return all;
}

bool CountsOnItsNode(const Replica& replica) {
  return replica.state == ReplicaState::kRunning ||
         replica.state == ReplicaState::kPendingMigration;
}

NodeFacts FactsOf(const State& state) {
  NodeFacts facts;
  for (const auto& node : state.cluster.nodes()) {
    if (!node.alive) continue;
    const auto& spec = node.resources.spec();
    facts[spec.id] = {.is_head = spec.is_head,
                      .labels = spec.labels,
                      .draining = node.draining,
                      .drain_deadline = node.drain_deadline};
  }
  for (const auto& [id, deployment] : state.deployments) {
    for (const Replica& replica : deployment.replicas) {
      const auto fact = facts.find(replica.node);
      if (fact != facts.end() && CountsOnItsNode(replica)) ++fact->second.running_replicas;
    }
  }
  return facts;
}

}  // namespace penstock::control
