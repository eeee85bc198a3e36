// Deploy, scale, update, fail, delete: whole histories of the real controller.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "scenario/sim.h"

namespace penstock::scenario {
namespace {

using control::DeploymentStatus;
using control::Trigger;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;
using testing::HasSubstr;

class LifecycleTest : public testing::Test {
 protected:
  LifecycleTest() { sim.AddNode("head", {{"CPU", 8}, {"GPU", 2}, {"widget", 4}}); }
  Sim sim;
};

TEST_F(LifecycleTest, ADeployRunsAndItsRouteIsPublished) {
  sim.Deploy("a", {{"num_replicas", 3}});
  EXPECT_EQ(sim.AppStatus("a"), "DEPLOYING");
  EXPECT_EQ(sim.Find("a")->status.trigger, Trigger::kConfigUpdateStarted);
  ASSERT_TRUE(sim.RunUntil([&] { return sim.AppStatus("a") == "RUNNING"; }));
  EXPECT_EQ(sim.Running("a"), 3);
  EXPECT_EQ(sim.Find("a")->status.trigger, Trigger::kConfigUpdateCompleted);
  ASSERT_EQ(sim.routers.http.size(), 1u);
  EXPECT_EQ(sim.routers.http[0].prefix, "/a");
  EXPECT_EQ(sim.routers.table.at({"a", "d"}).replicas.size(), 3u);
}

TEST_F(LifecycleTest, RanksAreDenseAndReused) {
  sim.Deploy("a", {{"num_replicas", 3}});
  sim.Run(seconds(1));
  const auto ids = sim.Replicas("a");
  sim.engine.Crash(ids[1]);
  sim.Run(seconds(1));
  std::vector<int> ranks;
  for (const auto& replica : sim.Find("a")->replicas) ranks.push_back(replica.rank.global);
  EXPECT_THAT(ranks, testing::UnorderedElementsAre(0, 1, 2));
}

// In the order of creation.
std::vector<int> Ranks(const Sim& sim) {
  std::vector<int> ranks;
  for (const auto& replica : sim.Find("a")->replicas) ranks.push_back(replica.rank.global);
  return ranks;
}

TEST_F(LifecycleTest, AGapThatScalingLeavesIsClosedAndTold) {
  sim.Deploy("a", {{"num_replicas", 3}});
  sim.Run(seconds(1));
  sim.engine.Crash(sim.Replicas("a")[0]);  // its rank goes to the newest, which goes first
  sim.Run(seconds(1));
  ASSERT_THAT(Ranks(sim), testing::ElementsAre(1, 2, 0));
  ASSERT_TRUE(sim.engine.reconfigured.empty());
  sim.Deploy("a", {{"num_replicas", 2}});
  ASSERT_TRUE(sim.RunUntil([&] { return sim.engine.replicas.size() == 2; }));
  sim.Run(seconds(1));
  EXPECT_THAT(Ranks(sim), testing::ElementsAre(1, 0));
  const auto told = [&](const ReplicaId& id, const Rank& rank) {
    return std::count_if(
        sim.engine.reconfigured.begin(), sim.engine.reconfigured.end(),
        [&](const auto& o) { return o.id == id && o.rank == rank && o.world_size == 2; });
  };
  const auto ids = sim.Replicas("a");
  EXPECT_EQ(told(ids[1], {0, 0, 0}), 1);
  EXPECT_EQ(told(ids[0], {1, 0, 1}), 1) << "of the number alone: it keeps its rank";
}

TEST_F(LifecycleTest, TheSameVersionWithAnotherNumberScalesInPlace) {
  sim.Deploy("a", {{"num_replicas", 1}});
  sim.Run(seconds(1));
  const auto before = sim.Replicas("a");
  sim.Deploy("a", {{"num_replicas", 3}});
  EXPECT_EQ(sim.Find("a")->status.status, DeploymentStatus::kUpscaling);
  EXPECT_EQ(sim.Find("a")->status.message, "Upscaling from 1 to 3 replicas.");
  EXPECT_EQ(sim.AppStatus("a"), "DEPLOYING");
  sim.Run(seconds(1));
  EXPECT_EQ(sim.Running("a"), 3);
  EXPECT_EQ(sim.Find("a")->status.trigger, Trigger::kUpscaleCompleted);
  EXPECT_THAT(sim.Replicas("a"), testing::Contains(before[0]));
  sim.Deploy("a", {{"num_replicas", 1}});
  sim.Run(seconds(1));
  EXPECT_EQ(sim.Find("a")->status.trigger, Trigger::kDownscaleCompleted);
  EXPECT_EQ(sim.Running("a"), 1);
}

TEST_F(LifecycleTest, AnIdenticalDeployOfTheSameVersionDoesNothing) {
  sim.Deploy("a", {{"num_replicas", 2}});
  sim.Run(seconds(1));
  const int starts = sim.engine.starts;
  sim.Deploy("a", {{"num_replicas", 2}});
  EXPECT_EQ(sim.AppStatus("a"), "RUNNING");
  sim.Run(seconds(5));
  EXPECT_EQ(sim.engine.starts, starts);
}

TEST_F(LifecycleTest, ANewVersionReplacesInWaves) {
  sim.Deploy("a", {{"num_replicas", 5}});
  sim.Run(seconds(1));
  sim.Deploy("a", {{"num_replicas", 5}}, "v2");
  int fewest = 5;
  ASSERT_TRUE(sim.RunUntil([&] {
    fewest = std::min(fewest, static_cast<int>(sim.routers.table.at({"a", "d"}).replicas.size()));
    return sim.AppStatus("a") == "RUNNING";
  }));
  EXPECT_EQ(fewest, 4) << "one in five at a time";
  for (const auto& replica : sim.Find("a")->replicas) EXPECT_EQ(replica.code_version, "v2");
}

TEST_F(LifecycleTest, ANewUserConfigReachesRunningReplicasWithoutARestart) {
  sim.Deploy("a", {{"num_replicas", 2}, {"user_config", {{"v", 1}}}});
  sim.Run(seconds(1));
  const auto before = sim.Replicas("a");
  sim.Deploy("a", {{"num_replicas", 2}, {"user_config", {{"v", 2}}}});
  sim.Run(seconds(1));
  EXPECT_EQ(sim.Replicas("a"), before);
  ASSERT_EQ(sim.engine.reconfigured.size(), 2u);
  EXPECT_EQ(sim.engine.reconfigured[0].user_config, R"({"v":2})");
  EXPECT_TRUE(sim.engine.reconfigured[0].user_config_changed);
  EXPECT_EQ(sim.AppStatus("a"), "RUNNING");
}

TEST_F(LifecycleTest, LoggingChangesWithoutARestart) {
  sim.Deploy("a", {{"num_replicas", 2}});
  sim.Run(seconds(1));
  const auto before = sim.Replicas("a");
  sim.Deploy("a", {{"num_replicas", 2}, {"logging_config", {{"log_level", "DEBUG"}}}});
  sim.Run(seconds(1));
  EXPECT_EQ(sim.Replicas("a"), before);
  ASSERT_EQ(sim.engine.reconfigured.size(), 2u);
  EXPECT_EQ(sim.engine.reconfigured[0].logging.log_level, 10);
  EXPECT_FALSE(sim.engine.reconfigured[0].user_config_changed);
  EXPECT_EQ(sim.AppStatus("a"), "RUNNING");
}

TEST_F(LifecycleTest, TheInstancesLoggingSurvivesTheControllerAndEndsWithServe) {
  ASSERT_FALSE(sim.controller->SetLogging({{"log_level", "LOUD"}}).ok());
  EXPECT_TRUE(sim.controller->logging().is_null());
  ASSERT_TRUE(sim.controller->SetLogging({{"log_level", "DEBUG"}}).ok());
  sim.RestartController();
  EXPECT_EQ(sim.controller->logging(), (nlohmann::json{{"log_level", "DEBUG"}}));
  bool gone = false;
  sim.controller->Shutdown([&](const Status&) { gone = true; });
  ASSERT_TRUE(sim.RunUntil([&] { return gone; }));
  EXPECT_TRUE(sim.controller->logging().is_null());
}

TEST_F(LifecycleTest, ARefusedUserConfigReplacesTheReplica) {
  sim.Deploy("a", {{"user_config", 1}});
  sim.Run(seconds(1));
  const auto before = sim.Replicas("a");
  sim.engine.behaviours["d"].reconfigure_error = "reconfigure raised";
  sim.Deploy("a", {{"user_config", 2}});
  sim.Run(seconds(2));
  EXPECT_NE(sim.Replicas("a"), before);
}

TEST_F(LifecycleTest, AReplicaIsStoppedOnlyAfterTheRoutersKnow) {
  sim.Deploy("a", {{"num_replicas", 2}});
  sim.Run(seconds(1));
  sim.routers.delay = milliseconds(300);
  sim.Deploy("a", {{"num_replicas", 1}});
  sim.Run(milliseconds(250));
  EXPECT_EQ(sim.routers.table.at({"a", "d"}).replicas.size(), 1u) << "off the routes at once";
  EXPECT_EQ(sim.engine.replicas.size(), 2u) << "but not told to stop before the acknowledgement";
  sim.Run(milliseconds(500));
  EXPECT_EQ(sim.engine.replicas.size(), 1u);
}

TEST_F(LifecycleTest, ARouterThatNeverAnswersHoldsNothingUpForLong) {
  sim.Deploy("a", {});
  sim.Run(seconds(1));
  sim.routers.silent = true;
  sim.controller->Delete("a");
  sim.controller->Settle();
  sim.Run(seconds(1));
  EXPECT_EQ(sim.engine.replicas.size(), 1u);
  sim.Run(seconds(3));
  EXPECT_EQ(sim.AppStatus("a"), "");
}

TEST_F(LifecycleTest, DeletingRemovesEverything) {
  sim.Deploy("a", {{"num_replicas", 2}, {"ray_actor_options", {{"num_gpus", 1}}}});
  sim.Run(seconds(1));
  bool gone = false;
  sim.controller->WaitGone("a", [&](const Status& status) { gone = status.ok(); });
  sim.controller->Delete("a");
  sim.controller->Settle();
  EXPECT_EQ(sim.AppStatus("a"), "DELETING");
  EXPECT_TRUE(sim.routers.http.empty());
  sim.Run(seconds(1));
  EXPECT_TRUE(gone);
  EXPECT_TRUE(sim.controller->state().deployments.empty());
  EXPECT_EQ(sim.controller->state().cluster.Free(), sim.controller->state().cluster.Total());
  EXPECT_TRUE(sim.store.Load()->empty() || sim.store.Load()->begin()->first.starts_with("node/"));
}

TEST_F(LifecycleTest, DeletingAnAppThatNeverGotItsPlaceIsImmediate) {
  sim.Deploy("a", {{"ray_actor_options", {{"num_gpus", 50}}}});
  sim.Run(seconds(1));
  sim.controller->Delete("a");
  sim.controller->Settle();
  EXPECT_EQ(sim.AppStatus("a"), "");
}

TEST_F(LifecycleTest, AFailingConstructorIsTriedThreeTimesAReplicaAndThenTold) {
  sim.engine.behaviours["d"].start_error = "Traceback: boom";
  Status waited;
  sim.Deploy("a", {});
  sim.controller->WaitRunning("a", [&](const Status& status) { waited = status; });
  sim.Run(milliseconds(150));
  EXPECT_THAT(sim.Find("a")->status.message,
              HasSubstr("A replica failed to start with exception. Retrying 2 more time(s). "
                        "Error:\nTraceback: boom"));
  EXPECT_EQ(sim.AppStatus("a"), "DEPLOYING");
  sim.Run(seconds(5));
  EXPECT_EQ(sim.engine.starts, 3);
  EXPECT_EQ(sim.AppStatus("a"), "DEPLOY_FAILED");
  EXPECT_EQ(sim.Find("a")->status.trigger, Trigger::kReplicaStartupFailed);
  EXPECT_THAT(sim.Find("a")->status.message,
              HasSubstr("The deployment failed to start 3 times in a row."));
  EXPECT_FALSE(sim.routers.table.at({"a", "d"}).available);
  EXPECT_EQ(waited.code(), Code::kFailedPrecondition);
  EXPECT_THAT(waited.message(),
              HasSubstr("Deploying application a failed: Failed to update the deployments ['d']."));
  EXPECT_THAT(waited.message(), HasSubstr("boom"));
  sim.Run(minutes(10));
  EXPECT_EQ(sim.engine.starts, 3) << "no further attempts until a new deploy";
  sim.engine.behaviours["d"].start_error.clear();
  sim.Deploy("a", {}, "v2");
  sim.Run(seconds(1));
  EXPECT_EQ(sim.AppStatus("a"), "RUNNING");
}

TEST_F(LifecycleTest, MaxConstructorRetryCountLimitsTheTries) {
  sim.engine.behaviours["d"].start_error = "boom";
  sim.Deploy("a", {{"num_replicas", 4}, {"max_constructor_retry_count", 1}});
  sim.Run(seconds(5));
  EXPECT_EQ(sim.AppStatus("a"), "DEPLOY_FAILED");
  EXPECT_EQ(sim.engine.starts, 4) << "all were started at once; none is tried again";
}

TEST_F(LifecycleTest, AFailedRolloutKeepsTheOldVersionServing) {
  sim.Deploy("a", {{"num_replicas", 2}});
  sim.Run(seconds(1));
  sim.engine.behaviours["d"].start_error = "bad release";
  sim.Deploy("a", {{"num_replicas", 2}}, "v2");
  sim.Run(minutes(1));
  EXPECT_EQ(sim.AppStatus("a"), "DEPLOY_FAILED");
  EXPECT_THAT(sim.Find("a")->status.message, HasSubstr("6 times in a row during a rolling update"));
  EXPECT_EQ(sim.Running("a"), 1) << "one had been stopped to make room";
  EXPECT_TRUE(sim.routers.table.at({"a", "d"}).available);
}

TEST_F(LifecycleTest, AnAmountNoDeviceComesInFailsTheDeploy) {
  sim.Deploy("a", {{"ray_actor_options", {{"num_gpus", 1.5}}}});
  sim.Run(seconds(5));
  EXPECT_EQ(sim.AppStatus("a"), "DEPLOY_FAILED");
  EXPECT_THAT(sim.Find("a")->status.message, HasSubstr("Replica scheduling failed."));
  EXPECT_THAT(sim.Find("a")->status.message,
              HasSubstr("GPU resource quantities >1 must be whole numbers"));
}

TEST_F(LifecycleTest, ACrashedReplicaIsReplacedAndTheFirstTimeAtOnce) {
  sim.Deploy("a", {{"num_replicas", 2}});
  sim.Run(seconds(1));
  const auto victim = sim.Replicas("a")[0];
  sim.engine.Crash(victim, "signal SIGKILL");
  sim.controller->Settle();
  EXPECT_EQ(sim.Find("a")->status.status, DeploymentStatus::kUnhealthy);
  EXPECT_THAT(sim.Find("a")->status.message, HasSubstr("signal SIGKILL"));
  EXPECT_EQ(sim.routers.table.at({"a", "d"}).replicas.size(), 1u);
  sim.Run(milliseconds(150));
  EXPECT_EQ(sim.Running("a"), 2);
  EXPECT_EQ(sim.Find("a")->status.status, DeploymentStatus::kHealthy);
  EXPECT_EQ(sim.Find("a")->status.trigger, Trigger::kUnspecified);
}

TEST_F(LifecycleTest, ACrashLoopBacksOff) {
  sim.Deploy("a", {});
  sim.Run(seconds(1));
  for (int second = 0; second < 60; ++second) {
    sim.Run(seconds(1));
    for (const auto& id : sim.Replicas("a")) {
      if (sim.Running("a") > 0) sim.engine.Crash(id);
    }
    sim.controller->Settle();
  }
  EXPECT_LT(sim.engine.starts, 30) << "without back-off there would be sixty";
}

TEST_F(LifecycleTest, ThreeFailedChecksInARowReplaceAReplica) {
  sim.Deploy("a", {});
  sim.Run(seconds(1));
  const auto id = sim.Replicas("a")[0];
  for (int i = 0; i < 2; ++i) sim.engine.FailCheck(id);
  sim.engine.PassCheck(id);
  for (int i = 0; i < 2; ++i) sim.engine.FailCheck(id);
  sim.controller->Settle();
  EXPECT_EQ(sim.Find("a")->status.status, DeploymentStatus::kHealthy);
  sim.engine.FailCheck(id);
  sim.controller->Settle();
  EXPECT_EQ(sim.Find("a")->status.status, DeploymentStatus::kUnhealthy);
  EXPECT_EQ(sim.Find("a")->status.trigger, Trigger::kHealthCheckFailed);
  sim.Run(seconds(1));
  EXPECT_EQ(sim.Running("a"), 1);
  EXPECT_NE(sim.Replicas("a")[0], id);
}

TEST_F(LifecycleTest, ABusyReplicaIsNeitherFailingNorHealthy) {
  sim.Deploy("a", {});
  sim.Run(seconds(1));
  const auto id = sim.Replicas("a")[0];
  for (int i = 0; i < 5; ++i) sim.engine.SayBusy(id);
  sim.Run(seconds(1));
  EXPECT_EQ(sim.Replicas("a")[0], id);
  EXPECT_EQ(sim.Find("a")->status.status, DeploymentStatus::kHealthy);
  EXPECT_EQ(sim.Find("a")->replicas[0].facts.at("health").at("state"), "busy");
  for (int i = 0; i < 2; ++i) sim.engine.FailCheck(id);
  sim.engine.SayBusy(id);
  sim.engine.FailCheck(id);
  sim.controller->Settle();
  EXPECT_EQ(sim.Find("a")->status.status, DeploymentStatus::kUnhealthy);
  EXPECT_NE(sim.Find("a")->status.message.find("Cause: check_health raised"), std::string::npos);
}

TEST_F(LifecycleTest, ARedeployWithFewerDeploymentsDropsTheRest) {
  const auto app = [](const std::vector<std::string>& names) {
    nlohmann::json params = {
        {"name", "a"}, {"ingress", names[0]}, {"deployments", nlohmann::json::array()}};
    for (const auto& name : names) params["deployments"].push_back({{"name", name}});
    return params;
  };
  sim.DeployApp(app({"x", "y"}));
  sim.Run(seconds(1));
  sim.DeployApp(app({"z"}), "v2");
  sim.Run(seconds(1));
  EXPECT_EQ(sim.Find("a", "x"), nullptr);
  EXPECT_EQ(sim.Running("a", "z"), 1);
  EXPECT_EQ(sim.AppStatus("a"), "RUNNING");
}

// A subscription raises the epoch too, and its update still lists the replica.
TEST_F(LifecycleTest, AReplicaIsNotStoppedBeforeARouterThatJustCameKnows) {
  sim.Deploy("a", {});
  sim.Run(seconds(1));
  const ReplicaId id = sim.Replicas("a").at(0);
  sim.routers.silent = true;
  for (int i = 0; i < control::kHealthStrikes; ++i) sim.engine.FailCheck(id);
  sim.controller->OnSubscribe(2, "handle", /*everything=*/false, {{"a", "d"}});
  const auto with_it = sim.routers.told.at(2);
  sim.controller->Settle();
  const auto without_it = sim.routers.told.at(2);
  ASSERT_GT(without_it, with_it);
  sim.controller->OnAcknowledge(1, sim.routers.told.at(1));
  sim.controller->OnAcknowledge(2, with_it);
  sim.controller->Settle();
  EXPECT_FALSE(sim.engine.replicas.at(id).stopping);
  sim.controller->OnAcknowledge(2, without_it + 1000);  // of what it has not been told
  sim.controller->Settle();
  EXPECT_FALSE(sim.engine.replicas.at(id).stopping);
  sim.controller->OnAcknowledge(2, without_it);
  sim.controller->Settle();
  EXPECT_TRUE(sim.engine.replicas.at(id).stopping);
}

TEST_F(LifecycleTest, BadDeploysChangeNothing) {
  sim.Deploy("a", {});
  sim.Run(seconds(1));
  const auto deploy = [&](const nlohmann::json& params) { return sim.TryDeploy(params).message(); };
  const nlohmann::json one = nlohmann::json::array({{{"name", "d"}}});
  EXPECT_EQ(deploy({{"name", "b"}, {"route_prefix", "/a"}, {"ingress", "d"}, {"deployments", one}}),
            "Prefix /a is being used by application \"a\". Failed to deploy application \"b\".");
  EXPECT_THAT(deploy({{"name", ""}, {"ingress", "d"}, {"deployments", one}}),
              HasSubstr("non-empty string"));
  for (const char* prefix : {"a", "/a/", "/{x}"}) {
    EXPECT_THAT(
        deploy({{"name", "b"}, {"route_prefix", prefix}, {"ingress", "d"}, {"deployments", one}}),
        HasSubstr("The route_prefix must"));
  }
  EXPECT_THAT(deploy({{"name", "b"}, {"ingress", "no"}, {"deployments", one}}),
              HasSubstr("none of its deployments"));
  const Status later =
      sim.TryDeploy({{"name", "b"},
                     {"ingress", "d"},
                     {"deployments",
                      {{{"name", "d"}, {"options", {{"deployment_actors", {{{"name", "x"}}}}}}}}}});
  EXPECT_EQ(later.code(), Code::kUnimplemented);
  EXPECT_THAT(later.message(), HasSubstr("deployment_actors"));
  EXPECT_EQ(sim.controller->state().apps.size(), 1u);
  EXPECT_EQ(sim.AppStatus("a"), "RUNNING");
}

class FrontDoorTest : public LifecycleTest {
 protected:
  // What came of asking for a proxy on `port`: its address, or why there is none.
  void Start(int port) {
    sim.controller->StartProxy(
        {.http = {{"port", port}}}, [this](const Result<control::FrontDoor::Opened>& r) {
          answers.push_back(r.ok() ? r->address + (r->options_ignored ? " ignored" : "")
                                   : r.status().message());
        });
  }

  void Shutdown() {
    sim.controller->Shutdown([this](const Status& status) {
      answers.push_back(status.ok() ? "shut" : status.message());
    });
    sim.controller->Settle();
  }

  std::vector<std::string> answers;
};

TEST_F(FrontDoorTest, OpensOnceAndItsErrorIsPassedOn) {
  sim.engine.proxy_error = "Failed to bind to address '127.0.0.1:8000'.";
  Start(8000);
  sim.Run(seconds(1));
  ASSERT_THAT(answers, testing::ElementsAre(HasSubstr("Failed to bind")));
  sim.engine.proxy_error.reset();
  answers.clear();
  for (const int port : {8000, 8000, 9000}) Start(port);
  sim.Run(seconds(1));
  Start(8000);
  EXPECT_THAT(answers, testing::ElementsAre("127.0.0.1:8000", "127.0.0.1:8000",
                                            "127.0.0.1:8000 ignored", "127.0.0.1:8000"));
  const auto proxies = sim.controller->proxies();
  ASSERT_EQ(proxies.size(), 1u);
  EXPECT_EQ(proxies.begin()->second.address, "127.0.0.1:8000");
}

TEST_F(FrontDoorTest, AShutdownClosesItAndWhatComesThenOpensItAnew) {
  sim.engine.behaviours["d"].drain = seconds(3);
  sim.Deploy("a", {});
  Start(8000);
  sim.Run(seconds(1));
  answers.clear();
  Shutdown();
  sim.Run(seconds(1));
  EXPECT_TRUE(sim.engine.proxy) << "what runs is answered through it";
  Start(9000);
  const Status refused =
      sim.TryDeploy({{"name", "b"}, {"ingress", "d"}, {"deployments", {{{"name", "d"}}}}});
  EXPECT_EQ(refused.code(), Code::kFailedPrecondition);
  EXPECT_THAT(refused.message(), HasSubstr("shutting down"));
  EXPECT_TRUE(answers.empty());
  sim.Run(seconds(3));
  EXPECT_THAT(answers, testing::ElementsAre("shut", "127.0.0.1:9000"));
  EXPECT_EQ(sim.engine.proxy->port, 9000);
  sim.Deploy("b", {});
  sim.Run(seconds(1));
  EXPECT_EQ(sim.AppStatus("b"), "RUNNING");
}

TEST_F(FrontDoorTest, AShutdownWithoutAnythingIsAnswered) {
  Shutdown();
  Shutdown();
  sim.Run(seconds(1));
  EXPECT_THAT(answers, testing::ElementsAre("shut", "shut"));
  EXPECT_TRUE(sim.controller->proxies().empty());
}

// Else the first request may come before the proxy has heard of any route.
TEST_F(FrontDoorTest, AnAppIsNotSaidToRunBeforeTheProxyThatJustStartedKnows) {
  for (const bool comes : {true, false}) {
    sim.controller->OnRouterGone(1);
    Start(8000);
    sim.Deploy("a", {});
    sim.controller->WaitRunning("a", [this](const Status&) { answers.push_back("runs"); });
    sim.Run(milliseconds(1500));
    EXPECT_THAT(answers, testing::ElementsAre("127.0.0.1:8000"));
    if (comes) sim.controller->OnSubscribe(1, "node0", /*everything=*/true, {});
    sim.Run(seconds(1));
    EXPECT_EQ(answers.back(), "runs") << "at most two seconds late";
    Shutdown();
    sim.Run(seconds(5));
    answers.clear();
  }
}

TEST_F(FrontDoorTest, ANewControllerKnowsIt) {
  Start(9000);
  sim.Run(seconds(1));
  sim.RestartController();
  sim.Run(seconds(1));
  answers.clear();
  Start(8000);
  EXPECT_THAT(answers, testing::ElementsAre("127.0.0.1:9000 ignored"));
}

TEST_F(FrontDoorTest, ANewControllerFinishesAShutdown) {
  for (const int wait_ms : {100, 3010}) {  // while applications go, while the proxy goes
    sim.engine.behaviours["d"].drain = seconds(3);
    sim.Deploy("a", {});
    Start(9000);
    sim.Run(seconds(1));
    Shutdown();
    sim.Run(milliseconds(wait_ms));
    ASSERT_TRUE(sim.engine.proxy);
    sim.RestartController();
    sim.Run(seconds(10));
    EXPECT_FALSE(sim.engine.proxy) << wait_ms;
    EXPECT_TRUE(sim.engine.replicas.empty());
    EXPECT_TRUE(sim.controller->proxies().empty());
    const auto left = *sim.store.Load();
    for (const auto& [key, value] : left) EXPECT_TRUE(key.starts_with("node/")) << key;
  }
}

}  // namespace
}  // namespace penstock::scenario
