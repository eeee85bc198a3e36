// Resources over time: what waits, why, and that it starts the moment room is made.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "control/snapshot_json.h"
#include "scenario/sim.h"

namespace penstock::scenario {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::HasSubstr;

nlohmann::json Actor(const nlohmann::json& options) { return {{"ray_actor_options", options}}; }

const control::Replica& Only(const Sim& sim, const std::string& app) {
  return sim.Find(app)->replicas.at(0);
}

TEST(Resources, TwoHalvesShareOneDevice) {
  Sim sim;
  sim.AddNode("head", {{"CPU", 4}, {"GPU", 1}});
  sim.Deploy("a", Actor({{"num_gpus", 0.5}}));
  sim.Deploy("b", Actor({{"num_gpus", 0.5}}));
  sim.Run(seconds(1));
  for (const char* app : {"a", "b"}) {
    EXPECT_EQ(sim.AppStatus(app), "RUNNING");
    EXPECT_EQ(Only(sim, app).allocation.devices.at("GPU").at(0).device, 0u);
  }
  EXPECT_EQ(sim.controller->state().cluster.Free().Get("GPU"), Quantity());
}

TEST(Resources, ACustomResourceKeepsADeploymentOnTheNodeThatHasIt) {
  Sim sim;
  sim.AddNode("head", {{"CPU", 8}});
  const NodeId second = sim.AddNode("second", {{"CPU", 8}, {"custom_resource", 4}});
  nlohmann::json options = Actor({{"resources", {{"custom_resource", 2}}}});
  options["num_replicas"] = 2;
  sim.Deploy("a", options);
  sim.Run(seconds(1));
  EXPECT_EQ(sim.AppStatus("a"), "RUNNING");
  for (const auto& replica : sim.Find("a")->replicas) EXPECT_EQ(replica.node, second);
}

TEST(Resources, WhatDoesNotFitWaitsAndSaysWhichNodeLacksWhat) {
  Sim sim;
  sim.AddNode("head", {{"CPU", 8}});
  sim.AddNode("second", {{"CPU", 8}, {"custom_resource", 2}});
  sim.Deploy("a", Actor({{"resources", {{"custom_resource", 2}}}}));
  sim.Run(seconds(1));
  sim.Deploy("b", Actor({{"resources", {{"custom_resource", 2}}}}));
  sim.Run(seconds(60));
  EXPECT_EQ(sim.AppStatus("b"), "DEPLOYING");
  EXPECT_EQ(Only(sim, "b").pending_code, "fits_later");
  EXPECT_EQ(
      Only(sim, "b").pending_text,
      "fits_later: nearest is node 'second': needs 2 custom_resource, 0 of 2 free; node 'head': "
      "needs 2 custom_resource, has 0");
  sim.controller->Delete("a");
  sim.controller->Settle();
  sim.Run(milliseconds(200));
  EXPECT_EQ(sim.AppStatus("b"), "RUNNING") << "the moment it is freed";
}

TEST(Resources, ANewNodeTakesWhatWaits) {
  Sim sim;
  sim.AddNode("head", {{"CPU", 1}});
  sim.Deploy("a", {{"num_replicas", 3}});
  sim.Run(seconds(1));
  EXPECT_EQ(sim.Running("a"), 1);
  sim.AddNode("second", {{"CPU", 2}});
  sim.Run(seconds(1));
  EXPECT_EQ(sim.Running("a"), 3);
}

TEST(Resources, ADeadNodesReplicasMoveToTheOthers) {
  Sim sim;
  sim.AddNode("head", {{"CPU", 4}});
  const NodeId second = sim.AddNode("second", {{"CPU", 4}});
  sim.Deploy("a", {{"num_replicas", 4}});
  sim.Run(seconds(1));
  sim.engine.KillNode(second);
  sim.controller->Settle();
  EXPECT_EQ(sim.Running("a"), 2);
  sim.Run(seconds(1));
  EXPECT_EQ(sim.Running("a"), 4);
  EXPECT_EQ(sim.AppStatus("a"), "RUNNING");
}

TEST(Resources, MaxReplicasPerNodeHolds) {
  Sim sim;
  sim.AddNode("head", {{"CPU", 8}});
  sim.Deploy("a", {{"num_replicas", 3}, {"max_replicas_per_node", 2}});
  sim.Run(seconds(1));
  EXPECT_EQ(sim.Running("a"), 2);
  EXPECT_EQ(sim.AppStatus("a"), "DEPLOYING");
  sim.AddNode("second", {{"CPU", 8}});
  sim.Run(seconds(1));
  EXPECT_EQ(sim.Running("a"), 3);
}

TEST(Resources, LabelsAreHardAndFallbacksAreTried) {
  Sim sim;
  sim.AddNode("head", {{"CPU", 1}}, {{"zone", "a"}});
  sim.AddNode("second", {{"CPU", 1}}, {{"zone", "b"}});
  nlohmann::json options = Actor({{"label_selector", {{"zone", "b"}}}});
  options["num_replicas"] = 2;
  sim.Deploy("a", options);
  sim.Run(seconds(1));
  EXPECT_EQ(sim.Running("a"), 1);
  EXPECT_THAT(sim.Find("a")->replicas[1].pending_text,
              HasSubstr("label selector zone=b does not match"));
  options["ray_actor_options"]["fallback_strategy"] = {{{"label_selector", {{"zone", "a"}}}}};
  sim.Deploy("a", options, "v2");
  sim.Run(seconds(2));
  EXPECT_EQ(sim.Running("a"), 2);
}

TEST(Resources, DownscalingEmptiesOtherNodesBeforeTheHead) {
  Sim sim;
  sim.AddNode("head", {{"CPU", 4}});
  const NodeId second = sim.AddNode("second", {{"CPU", 4}});
  sim.Deploy("a", {{"num_replicas", 4}});
  sim.Run(seconds(1));
  sim.Deploy("a", {{"num_replicas", 2}});
  sim.Run(seconds(1));
  for (const auto& replica : sim.Find("a")->replicas) EXPECT_NE(replica.node, second);
}

TEST(Resources, AfterHalfAMinuteTheMessageIsRays) {
  Sim sim;
  sim.AddNode("head", {{"CPU", 1}, {"GPU", 1}, {"memory", 5000}});
  sim.Deploy("inf", Actor({{"num_cpus", 0.5}, {"num_gpus", 50}, {"memory", 4000}}));
  sim.Run(seconds(31));
  const auto status = control::ServeStatusJson(*sim.controller, {.now = sim.clock.now});
  EXPECT_THAT(
      status.at("applications")
          .at("inf")
          .at("deployments")
          .at("d")
          .at("message")
          .get<std::string>(),
      testing::StartsWith(
          "Deployment 'd' in application 'inf' has 1 replicas that have taken more than 30s to be "
          "scheduled. This may be due to waiting for the cluster to auto-scale or for a runtime "
          "environment to be installed. Resources required for each replica: {\"CPU\": 0.5, "
          "\"GPU\": 50, \"memory\": 4000}, total resources available: {\"CPU\": 1.0, \"GPU\": 1.0, "
          "\"memory\": 5000.0}. Use `ray status` for more details."));
}

}  // namespace
}  // namespace penstock::scenario
