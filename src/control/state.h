// Everything the controller knows: applications, deployments, nodes.
#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "control/deployment.h"
#include "control/victims.h"
#include "penstock/ids.h"
#include "placement/cluster.h"
#include "placement/place.h"
#include "placement/place_group.h"

namespace penstock::control {

// A named group of deployments with at most one route prefix.
struct App {
  std::string name;
  std::optional<std::string> route_prefix;  // absent: reachable through handles only
  std::string ingress;                      // deployment that takes its requests
  std::string docs_path;
  double deployed_unix = 0;
  std::vector<std::string> deployments;  // names, sorted
  bool external_scaler = false;          // sizes are set from outside, by Controller::Scale
  bool deleting = false;
  AppStatusInfo status;
};

struct State {
  std::map<std::string, App> apps;
  std::map<DeploymentId, Deployment> deployments;
  placement::Cluster cluster;
  placement::PlacementState placement;
};

// What placement has to find for a replica of `deployment`: its demand, and the implicit
// per-node resource that stands for max_replicas_per_node.
resources::Demand DemandOf(const Deployment& deployment);

// What placement has to find at once: for a gang, or for a replica with a placement group. None for
// others.
std::optional<placement::GroupDemand> GroupOf(const Deployment& deployment);

// Whether it counts as one that its node runs.
bool CountsOnItsNode(const Replica& replica);

// What ChooseVictims needs to know of every node.
NodeFacts FactsOf(const State& state);

}  // namespace penstock::control
