// The controller dies; what runs goes on, and a new controller takes it over.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "scenario/sim.h"

namespace penstock::scenario {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

TEST(Recovery, ANewControllerAdoptsWhatRuns) {
  Sim sim;
  sim.AddNode("head", {{"CPU", 8}, {"GPU", 2}});
  sim.Deploy("a", {{"num_replicas", 3}, {"ray_actor_options", {{"num_gpus", 0.5}}}});
  sim.Run(seconds(1));
  const auto before = sim.Replicas("a");
  const int starts = sim.engine.starts;
  sim.RestartController();
  sim.Run(seconds(10));
  EXPECT_EQ(sim.engine.starts, starts);
  EXPECT_THAT(sim.Replicas("a"), testing::UnorderedElementsAreArray(before));
  EXPECT_EQ(sim.AppStatus("a"), "RUNNING");
  EXPECT_EQ(sim.routers.table.at({"a", "d"}).replicas.size(), 3u);
  sim.CheckInvariants();
}

TEST(Recovery, WhatDiedMeanwhileIsReplaced) {
  Sim sim;
  sim.AddNode("head", {{"CPU", 8}});
  sim.Deploy("a", {{"num_replicas", 2}});
  sim.Run(seconds(1));
  sim.engine.replicas.erase(sim.Replicas("a")[0]);
  sim.RestartController();
  EXPECT_EQ(sim.AppStatus("a"), "UNHEALTHY");
  EXPECT_THAT(sim.Find("a")->status.message, testing::HasSubstr("1 of its replicas ended"));
  sim.Run(seconds(1));
  EXPECT_EQ(sim.Running("a"), 2);
  EXPECT_EQ(sim.AppStatus("a"), "RUNNING");
  EXPECT_EQ(sim.engine.replicas.size(), 2u);
}

TEST(Recovery, AnInterruptedDeployIsFinished) {
  Sim sim;
  sim.AddNode("head", {{"CPU", 8}});
  sim.Deploy("a", {{"num_replicas", 2}});
  sim.Run(seconds(1));
  sim.Deploy("a", {{"num_replicas", 2}}, "v2");
  sim.Run(milliseconds(60));
  sim.RestartController();
  sim.Run(seconds(5));
  EXPECT_EQ(sim.AppStatus("a"), "RUNNING");
  ASSERT_EQ(sim.Running("a"), 2);
  for (const auto& replica : sim.Find("a")->replicas) EXPECT_EQ(replica.code_version, "v2");
  EXPECT_EQ(sim.engine.replicas.size(), 2u);
}

TEST(Recovery, AnInterruptedDeleteIsFinished) {
  Sim sim;
  sim.AddNode("head", {{"CPU", 8}});
  sim.engine.behaviours["d"].drain = seconds(3);
  sim.Deploy("a", {});
  sim.Run(seconds(1));
  sim.controller->Delete("a");
  sim.controller->Settle();
  sim.Run(milliseconds(100));
  sim.RestartController();
  sim.Run(seconds(10));
  EXPECT_EQ(sim.AppStatus("a"), "");
  EXPECT_TRUE(sim.engine.replicas.empty());
}

TEST(Recovery, ReplicasOfAnAppThatIsForgottenAreEnded) {
  Sim sim;
  sim.AddNode("head", {{"CPU", 8}, {"GPU", 1}});
  sim.Deploy("a", {{"ray_actor_options", {{"num_gpus", 1}}}});
  sim.Run(seconds(1));
  auto values = *sim.store.Load();
  std::vector<control::Write> forget;
  for (const auto& [key, value] : values) {
    if (!key.starts_with("node/")) forget.push_back({key, std::nullopt});
  }
  ASSERT_TRUE(sim.store.Commit(forget).ok());
  sim.RestartController();
  EXPECT_EQ(sim.controller->state().cluster.Free().Get("GPU"), Quantity())
      << "held until it is gone";
  sim.Run(seconds(1));
  EXPECT_TRUE(sim.engine.replicas.empty());
  EXPECT_EQ(sim.controller->state().cluster.Free().Get("GPU"), kOneUnit);
}

TEST(Recovery, AFailedDeployStaysFailed) {
  Sim sim;
  sim.AddNode("head", {{"CPU", 8}});
  sim.engine.behaviours["d"].start_error = "boom";
  sim.Deploy("a", {});
  sim.Run(seconds(5));
  const int starts = sim.engine.starts;
  sim.RestartController();
  sim.Run(seconds(60));
  EXPECT_EQ(sim.AppStatus("a"), "DEPLOY_FAILED");
  EXPECT_EQ(sim.engine.starts, starts);
}

// Every request was answered 404 meanwhile: routers were told of an empty book.
TEST(Recovery, RoutersAreToldNothingUntilTheNodesAreBack) {
  Sim sim;
  const NodeId head = sim.AddNode("head", {{"CPU", 4}});
  const NodeId second = sim.AddNode("second", {{"CPU", 4}});
  sim.Deploy("a", {{"num_replicas", 2}});
  sim.Run(seconds(1));
  const auto table = sim.routers.table;
  const auto http = sim.routers.http;
  ASSERT_EQ(table.at({"a", "d"}).replicas.size(), 2u);
  // The second node dies with the controller, and what runs there.
  std::erase_if(sim.engine.replicas,
                [&](const auto& entry) { return entry.second.order.node == second; });
  sim.ReplaceController();
  sim.Run(seconds(1));
  EXPECT_EQ(sim.routers.table, table);
  EXPECT_EQ(sim.routers.http, http);
  sim.Rejoin(head);
  sim.Run(seconds(1));
  EXPECT_EQ(sim.routers.table, table) << "the second may still come";
  sim.Run(seconds(5));
  EXPECT_EQ(sim.routers.http, http);
  const auto& route = sim.routers.table.at({"a", "d"});
  ASSERT_EQ(route.replicas.size(), 2u);
  for (const auto& replica : route.replicas) EXPECT_EQ(replica.node, head);
  sim.ReplaceController();
  sim.Rejoin(head);
  EXPECT_FALSE(sim.controller->Recovering()) << "the second is not waited for again";
}

// The two seconds that routers have were over before they were told.
TEST(Recovery, RoutersHaveTheirTimeAfterIt) {
  Sim sim;
  const NodeId head = sim.AddNode("head", {{"CPU", 4}});
  sim.AddNode("second", {{"CPU", 4}});
  sim.Deploy("a", {});
  sim.Run(seconds(1));
  const ReplicaId id = sim.Replicas("a").at(0);
  ASSERT_EQ(sim.Find("a")->replicas[0].node, head);
  sim.ReplaceController();
  sim.Rejoin(head);
  for (int i = 0; i < control::kHealthStrikes; ++i) sim.engine.FailCheck(id);
  sim.routers.silent = true;
  sim.Run(seconds(6));
  EXPECT_FALSE(sim.controller->Recovering());
  EXPECT_FALSE(sim.engine.replicas.at(id).stopping) << "routers have just been told";
  sim.Run(seconds(2));
  EXPECT_FALSE(sim.engine.replicas.contains(id));
  sim.CheckInvariants();
}

// Another controller gave the bundle to others while its replica's node was away: it was taken
// twice, which ended the controller.
TEST(Recovery, ABundleThatWasGivenToOthersIsNotTakenTwice) {
  Sim sim;
  sim.AddNode("head", {{"CPU", 2}});
  const NodeId home = sim.AddNode("home", {{"CPU", 1}, {"GPU", 1}});
  sim.Deploy("a", {{"placement_group_bundles", {{{"CPU", 1}, {"GPU", 1}}, {{"CPU", 2}}}}});
  sim.Run(seconds(1));
  ASSERT_EQ(sim.Running("a"), 1);
  sim.Disconnect(home);
  sim.Deploy("b", {{"ray_actor_options", {{"num_cpus", 2}}}});
  sim.Run(seconds(1));
  ASSERT_EQ(sim.Running("b"), 1);
  for (const bool restart : {false, true}) {
    if (restart) sim.RestartController();
    sim.Rejoin(home);
    sim.Run(seconds(3));
    EXPECT_EQ(sim.Running("b"), 1);
    EXPECT_EQ(sim.Running("a"), 0) << "it was to have both";
    EXPECT_EQ(sim.engine.replicas.size(), 1u);
    sim.CheckInvariants();
  }
}

// Replicas of a node that was given up come back beside those that took their places, ranks and
// all.
TEST(Recovery, NoTwoReplicasKeepOneRank) {
  Sim sim;
  sim.AddNode("head", {{"CPU", 4}});
  const NodeId second = sim.AddNode("second", {{"CPU", 4}});
  sim.Deploy("a", {{"num_replicas", 2}});
  sim.Run(seconds(1));
  sim.Disconnect(second);
  sim.Run(seconds(1));
  sim.Deploy("a", {{"num_replicas", 3}});
  sim.Run(seconds(1));
  sim.Deploy("a", {{"num_replicas", 4}});
  sim.Rejoin(second);
  sim.Run(seconds(5));
  ASSERT_EQ(sim.Running("a"), 4);
  std::set<int> ranks;
  for (const auto& replica : sim.Find("a")->replicas) ranks.insert(replica.rank.global);
  EXPECT_THAT(ranks, testing::ElementsAre(0, 1, 2, 3));
  EXPECT_EQ(sim.engine.replicas.size(), 4u);
}

// Its refusal was told to nobody: it served on as if it had the new configuration.
TEST(Recovery, AConfigurationThatWasRefusedUnheardIsAskedForAgain) {
  Sim sim;
  const NodeId head = sim.AddNode("head", {{"CPU", 4}});
  sim.Deploy("a", {{"user_config", 1}});
  sim.Run(seconds(1));
  const ReplicaId id = sim.Replicas("a").at(0);
  sim.engine.behaviours["d"].reconfigure_error = "reconfigure raised";
  sim.Deploy("a", {{"user_config", 2}});
  sim.ReplaceController();
  sim.Run(milliseconds(10));
  ASSERT_TRUE(sim.engine.replicas.at(id).refused);
  sim.engine.behaviours["d"].reconfigure_error = "";
  sim.Rejoin(head);
  sim.Run(milliseconds(10));
  EXPECT_FALSE(sim.engine.replicas.at(id).refused);
  EXPECT_EQ(sim.AppStatus("a"), "RUNNING");
}

// An answer to an order of before came first, and the refusal counted no more.
TEST(Recovery, ARefusalCountsAfterAnAnswerThatCameTwice) {
  Sim sim;
  sim.AddNode("head", {{"CPU", 4}});
  sim.Deploy("a", {{"user_config", 1}});
  sim.Run(seconds(1));
  const ReplicaId id = sim.Replicas("a").at(0);
  sim.engine.behaviours["d"].reconfigure_error = "reconfigure raised";
  sim.Deploy("a", {{"user_config", 2}});
  sim.controller->OnReplicaEvent(
      {.kind = engine::ReplicaEvent::Kind::kReconfigured, .id = id, .message = "", .facts = {}});
  sim.Settle();
  sim.Run(milliseconds(10));
  EXPECT_EQ(sim.AppStatus("a"), "UNHEALTHY");
  sim.Run(seconds(5));
  EXPECT_FALSE(sim.engine.replicas.contains(id));
  EXPECT_EQ(sim.AppStatus("a"), "RUNNING");
}

// They are more than wanted, and the head's go last: those of the new version went.
TEST(Recovery, OldReplicasThatComeBackGoBeforeNewOnes) {
  Sim sim;
  const NodeId head = sim.AddNode("head", {{"CPU", 8}});
  sim.Deploy("a", {{"num_replicas", 8}});
  sim.Run(seconds(1));
  sim.Disconnect(head);
  sim.AddNode("second", {{"CPU", 4}});
  sim.Deploy("a", {{"num_replicas", 2}}, "v2");
  sim.Run(seconds(1));
  const auto serving = sim.Replicas("a");
  ASSERT_EQ(sim.Running("a"), 2);
  sim.Rejoin(head);
  sim.Run(seconds(5));
  EXPECT_EQ(sim.Replicas("a"), serving);
  EXPECT_EQ(sim.engine.replicas.size(), 2u);
}

// Halves of two gangs are as many as wanted, and none of them can go on.
TEST(Recovery, HalfGangsAreLost) {
  Sim sim;
  const NodeId head = sim.AddNode("head", {{"CPU", 1}});
  const NodeId second = sim.AddNode("second", {{"CPU", 1}});
  sim.Deploy("a", {{"num_replicas", 2}, {"gang_scheduling_config", {{"gang_size", 2}}}});
  sim.Run(seconds(1));
  ASSERT_EQ(sim.Running("a"), 2);
  sim.Disconnect(second);
  const NodeId third = sim.AddNode("third", {{"CPU", 1}});
  sim.Run(seconds(5));
  ASSERT_EQ(sim.Running("a"), 2) << "on head and third";
  sim.ReplaceController();
  sim.KillNode(third);
  sim.Rejoin(second);
  sim.Rejoin(head);
  sim.Run(seconds(5));  // with the invariants
  EXPECT_EQ(sim.AppStatus("a"), "UNHEALTHY");
  sim.Run(seconds(5));
  EXPECT_EQ(sim.Running("a"), 2);
}

TEST(Recovery, AReplicaThatDrainsMayFinish) {
  Sim sim;
  sim.AddNode("head", {{"CPU", 8}});
  sim.engine.behaviours["d"].drain = seconds(3);
  sim.Deploy("a", {});
  sim.Run(seconds(1));
  sim.controller->Delete("a");
  sim.controller->Settle();
  sim.Run(milliseconds(100));
  sim.RestartController();
  sim.Run(seconds(1));
  EXPECT_EQ(sim.engine.replicas.size(), 1u) << "it has its time";
  EXPECT_EQ(sim.AppStatus("a"), "DELETING") << "not gone before its replicas are";
  sim.Run(seconds(3));
  EXPECT_TRUE(sim.engine.replicas.empty());
  EXPECT_EQ(sim.AppStatus("a"), "");
}

TEST(Recovery, TheCountOfFailedStartsGoesOn) {
  for (const bool dies : {false, true}) {
    Sim sim;
    sim.AddNode("head", {{"CPU", 8}});
    if (!dies) sim.engine.behaviours["d"].start_error = "boom";
    sim.Deploy("a", {});
    const auto fail_once = [&] {
      const int before = sim.Find("a")->start_failures;
      if (dies) sim.engine.Crash(sim.Replicas("a").at(0));
      sim.controller->Settle();
      return sim.RunUntil([&] { return sim.Find("a")->start_failures > before; });
    };
    ASSERT_TRUE(fail_once());
    sim.RestartController();
    ASSERT_TRUE(fail_once());
    EXPECT_EQ(sim.AppStatus("a"), "DEPLOYING");
    ASSERT_TRUE(fail_once());
    EXPECT_EQ(sim.AppStatus("a"), "DEPLOY_FAILED") << "three in a row";
    EXPECT_EQ(sim.engine.starts, 3);
  }
}

TEST(Recovery, ADamagedValueIsNamed) {
  for (const char* key : {"app/x", "setting/http"}) {
    Sim sim;
    ASSERT_TRUE(sim.store.Commit({{key, "not json"}}).ok());
    control::Controller controller({sim.clock, sim.engine, sim.store, sim.routers, sim.random}, {});
    const Status status = controller.Recover();
    EXPECT_EQ(status.code(), Code::kInternal);
    EXPECT_NE(status.message().find(key), std::string::npos);
  }
}

// Random histories: deploys, crashes, restarts of the controller. At the end everything is as
// wanted, and at no time was a device given twice (CheckInvariants, in every step).
TEST(Recovery, RandomHistoriesEndAsWanted) {
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Sim sim(seed);
    base::Random dice(seed * 977);
    sim.AddNode("head", {{"CPU", 6}, {"GPU", 2}});
    sim.AddNode("second", {{"CPU", 6}, {"GPU", 2}});
    int version = 0;
    int wanted = 1;
    for (int step = 0; step < 40; ++step) {
      switch (dice.Next() % 6) {
        case 0:
          wanted = static_cast<int>(1 + dice.Next() % 4);
          version += static_cast<int>(dice.Next() % 2);
          sim.Deploy("a", {{"num_replicas", wanted}, {"ray_actor_options", {{"num_gpus", 0.5}}}},
                     "v" + std::to_string(version));
          break;
        case 1:
          if (const auto ids = sim.Replicas("a"); !ids.empty()) {
            sim.engine.Crash(ids[dice.Next() % ids.size()]);
            sim.controller->Settle();
          }
          break;
        case 2:
          sim.RestartController();
          break;
        case 3:
          sim.routers.silent = dice.Next() % 2 == 0;
          break;
        default:
          sim.Run(milliseconds(dice.Next() % 400));
      }
      sim.CheckInvariants();
    }
    sim.routers.silent = false;
    sim.Deploy("a", {{"num_replicas", wanted}, {"ray_actor_options", {{"num_gpus", 0.5}}}}, "last");
    sim.Run(seconds(90));
    ASSERT_EQ(sim.AppStatus("a"), "RUNNING");
    ASSERT_EQ(sim.Running("a"), wanted);
    ASSERT_EQ(sim.engine.replicas.size(), static_cast<std::size_t>(wanted)) << "no orphan";
  }
}

}  // namespace
}  // namespace penstock::scenario
