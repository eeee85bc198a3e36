// Custom request routers: when their processes are to run, and where routers are told to ask.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "scenario/sim.h"

namespace penstock::scenario {
namespace {

using nlohmann::json;
using std::chrono::seconds;
using Kind = RequestRouterSpec::Kind;

json Custom(int n = 1) {
  return {{"request_router_config",
           {{"request_router_class", "mine:Router"}, {"request_router_kwargs", {{"n", n}}}}}};
}

class RequestRouterScenario : public testing::Test {
 protected:
  RequestRouterScenario() { sim.AddNode("head", {{"CPU", 8}}); }
  const route::RouterRoute& Told() { return sim.routers.table.at({"a", "d"}).router; }
  Sim sim;
};

TEST_F(RequestRouterScenario, AProcessRunsWhereARouterIsCustomAndNowhereElse) {
  sim.Deploy("b", {});
  sim.Run(seconds(1));
  EXPECT_TRUE(sim.engine.code_hosts.empty());
  sim.Deploy("a", Custom());
  sim.Run(seconds(1));
  ASSERT_EQ(sim.engine.code_hosts.size(), 1u);
  EXPECT_EQ(sim.engine.code_hosts[0].id, (DeploymentId{"a", "d"}));
  EXPECT_EQ(sim.engine.code_hosts[0].import_path, "mine:Router");
  EXPECT_EQ(json::parse(sim.engine.code_hosts[0].kwargs), (json{{"n", 1}}));
  EXPECT_EQ(Told().kind, Kind::kCustom);
  EXPECT_EQ(Told().socket, sim.engine.code_hosts[0].socket);
  sim.controller->Delete("a");
  sim.Run(seconds(60));
  EXPECT_TRUE(sim.engine.code_hosts.empty());
}

TEST_F(RequestRouterScenario, AChangeOfItsArgumentsIsAnotherProcessAndNoRestart) {
  sim.Deploy("a", Custom(1));
  sim.Run(seconds(1));
  const auto replicas = sim.Replicas("a");
  const std::string before = Told().socket;
  sim.Deploy("a", Custom(2));
  sim.Run(seconds(1));
  EXPECT_EQ(sim.Replicas("a"), replicas);
  ASSERT_EQ(sim.engine.code_hosts.size(), 1u);
  EXPECT_NE(Told().socket, before);
  EXPECT_EQ(Told().socket, sim.engine.code_hosts[0].socket);
  sim.Deploy(
      "a",
      {{"request_router_config",
        {{"request_router_class", "ray.serve.experimental.round_robin_router:RoundRobinRouter"}}}});
  sim.Run(seconds(1));
  EXPECT_EQ(sim.Replicas("a"), replicas);
  EXPECT_TRUE(sim.engine.code_hosts.empty());
  EXPECT_EQ(Told().kind, Kind::kRoundRobin);
}

TEST_F(RequestRouterScenario, OtherOptionsLeaveTheProcessAlone) {
  sim.Deploy("a", Custom());
  sim.Run(seconds(1));
  const auto before = sim.engine.code_hosts;
  json options = Custom();
  options["num_replicas"] = 3;
  options["request_router_config"]["max_backoff_s"] = 2;
  sim.Deploy("a", options);
  sim.Run(seconds(1));
  EXPECT_EQ(sim.engine.code_hosts, before);
  EXPECT_EQ(Told().max_backoff_s, 2);
}

TEST_F(RequestRouterScenario, ANewControllerWantsTheSameProcess) {
  sim.Deploy("a", Custom());
  sim.Run(seconds(1));
  const auto before = std::exchange(sim.engine.code_hosts, {});
  sim.RestartController();
  sim.Run(seconds(1));
  EXPECT_EQ(sim.engine.code_hosts, before);
}

TEST_F(RequestRouterScenario, TheHashesArgumentsReachTheRouters) {
  sim.Deploy(
      "a",
      {{"request_router_config",
        {{"request_router_class",
          "ray.serve.experimental.consistent_hash_router:ConsistentHashRouter"},
         {"request_router_kwargs", {{"num_virtual_nodes", 7}, {"num_fallback_replicas", 0}}}}}});
  sim.Run(seconds(1));
  EXPECT_EQ(Told().kind, Kind::kConsistentHash);
  EXPECT_EQ(Told().num_virtual_nodes, 7);
  EXPECT_EQ(Told().num_fallback_replicas, 0);
}

}  // namespace
}  // namespace penstock::scenario
