// The state database is lost: what runs tells a new controller what should be.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "scenario/invariants.h"
#include "scenario/sim.h"

namespace penstock::scenario {
namespace {

using nlohmann::json;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;
using testing::HasSubstr;

const json kD = {{"num_replicas", 2}, {"ray_actor_options", {{"num_gpus", 0.5}}}};
const json kE = {{"num_replicas", 2}, {"gang_scheduling_config", {{"gang_size", 2}}}};

json AppA(const std::string& prefix) {
  return {{"name", "a"},
          {"route_prefix", prefix},
          {"ingress", "d"},
          {"deployments",
           {{{"name", "d"}, {"options", kD}, {"code_version", "v1"}},
            {{"name", "e"}, {"options", kE}, {"code_version", "v1"}}}}};
}

Wishes WishedA() {
  return {{{"a", "d"}, {.version = "v1", .options = kD}},
          {{"a", "e"}, {.version = "v1", .options = kE}}};
}

class RebuildTest : public testing::Test {
 protected:
  // All of them dial again, one after the other.
  void Dial() {
    for (const auto& node : sim.nodes()) {
      sim.Rejoin(node.id);
      sim.Run(milliseconds(100));
    }
  }

  Sim sim;
  NodeId head = sim.AddNode("head", {{"CPU", 8}, {"GPU", 2}});
  NodeId other = sim.AddNode("other", {{"CPU", 8}, {"GPU", 2}});
};

TEST_F(RebuildTest, WhatRunsGoesOnAsItWas) {
  sim.DeployApp(AppA("/a"));
  sim.Run(seconds(1));
  const auto table = sim.routers.table;
  const auto http = sim.routers.http;
  const int starts = sim.engine.starts;
  sim.LoseStore();
  sim.Run(seconds(1));
  Dial();
  EXPECT_EQ(sim.routers.table, table) << "routers go by what they know";
  sim.Run(seconds(20));
  EXPECT_EQ(sim.routers.table, table);
  EXPECT_EQ(sim.routers.http, http);
  EXPECT_EQ(sim.engine.starts, starts);
  EXPECT_EQ(sim.AppStatus("a"), "RUNNING");
  EXPECT_THAT(sim.controller->notice(), HasSubstr("lost: it was garbage."));
  EXPECT_THAT(BrokenAtRest(sim, WishedA()), testing::IsEmpty());
  sim.RestartController();
  sim.Run(seconds(20));
  EXPECT_EQ(sim.routers.table, table) << "and is remembered again";
  EXPECT_EQ(sim.engine.starts, starts);
  EXPECT_THAT(sim.controller->notice(), HasSubstr("lost"));
  bool gone = false;
  sim.controller->Shutdown([&](const Status&) { gone = true; });
  sim.Settle();
  sim.Run(seconds(20));
  EXPECT_TRUE(gone);
  EXPECT_EQ(sim.controller->notice(), "");
}

TEST_F(RebuildTest, TheProxyIsKnownAgain) {
  const auto open = [&] {
    sim.controller->StartProxy({.http = {{"port", 9000}}}, [](const auto&) {});
  };
  open();
  sim.Run(seconds(1));
  ASSERT_EQ(sim.controller->proxies().size(), 1u);
  sim.LoseStore();
  Dial();
  sim.Run(seconds(10));
  ASSERT_EQ(sim.controller->proxies().size(), 1u);
  EXPECT_EQ(sim.controller->proxies().begin()->second.address, "127.0.0.1:9000");
}

// The replicas stayed as they were, and told of the route before.
TEST_F(RebuildTest, ARouteThatChangedWithoutARestartIsKnown) {
  sim.DeployApp(AppA("/before"));
  sim.Run(seconds(1));
  const int starts = sim.engine.starts;
  sim.DeployApp(AppA("/after"));
  sim.Run(seconds(1));
  ASSERT_EQ(sim.engine.starts, starts);
  sim.LoseStore();
  Dial();
  sim.Run(seconds(10));
  EXPECT_EQ(sim.controller->state().apps.at("a").route_prefix, "/after");
}

TEST_F(RebuildTest, AnInterruptedUpdateIsFinished) {
  for (int i = 0; i < 8; ++i) {
    const std::string before = "v" + std::to_string(i);
    const std::string after = "v" + std::to_string(i + 1);
    sim.Deploy("u", {{"num_replicas", 3}}, before);
    sim.Run(seconds(5));
    sim.Deploy("u", {{"num_replicas", 3}}, after);
    sim.Run(milliseconds(200 + 50 * i));
    sim.LoseStore();
    Dial();
    sim.Run(minutes(1));
    ASSERT_EQ(sim.Running("u"), 3);
    for (const auto& replica : sim.Find("u")->replicas) EXPECT_EQ(replica.code_version, after);
    EXPECT_EQ(sim.engine.replicas.size(), 3u);
  }
}

TEST_F(RebuildTest, CountsOfAutoscaledDeploymentsAreThoseThatRun) {
  sim.Deploy("s", {{"autoscaling_config",
                    {{"min_replicas", 1}, {"initial_replicas", 3}, {"max_replicas", 5}}}});
  sim.Run(seconds(1));
  sim.LoseStore();
  Dial();
  sim.Run(seconds(6));
  EXPECT_EQ(sim.Find("s")->target_replicas, 3);
  EXPECT_EQ(sim.Running("s"), 3);
}

TEST_F(RebuildTest, WhatHasNoReplicaIsNamed) {
  json app = AppA("/a");
  app["deployments"][1]["options"] = {{"ray_actor_options", {{"num_gpus", 7}}}};
  sim.DeployApp(app);
  sim.Run(seconds(1));
  sim.LoseStore();
  Dial();
  sim.Run(seconds(10));
  EXPECT_EQ(sim.Running("a", "d"), 2);
  EXPECT_EQ(sim.Find("a", "e"), nullptr);
  EXPECT_THAT(sim.controller->notice(),
              HasSubstr("No replica told of Deployment(name='e', app='a')."));
}

TEST_F(RebuildTest, ADeployMeanwhileCounts) {
  sim.Deploy("a", {{"num_replicas", 2}}, "v1");
  sim.Run(seconds(1));
  sim.LoseStore();
  sim.Run(milliseconds(100));
  sim.Deploy("a", {{"num_replicas", 3}}, "v2");
  Dial();
  sim.Run(seconds(20));
  EXPECT_EQ(sim.Running("a"), 3);
  EXPECT_EQ(sim.Find("a")->target.code_version, "v2");
  EXPECT_EQ(sim.engine.replicas.size(), 3u);
}

TEST_F(RebuildTest, WhatWasBeingDeletedDoesNotComeBack) {
  sim.engine.behaviours["d"].drain = seconds(8);
  sim.Deploy("a", {});
  sim.Run(seconds(1));
  sim.controller->Delete("a");
  sim.Settle();
  sim.Run(milliseconds(100));
  sim.LoseStore();
  Dial();
  sim.Run(seconds(20));
  EXPECT_EQ(sim.AppStatus("a"), "");
  EXPECT_TRUE(sim.engine.replicas.empty());
}

}  // namespace
}  // namespace penstock::scenario
