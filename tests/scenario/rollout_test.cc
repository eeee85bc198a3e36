// How a new version takes over, with and without room beside the old one.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "scenario/sim.h"

namespace penstock::scenario {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;
using testing::HasSubstr;

class RolloutTest : public testing::Test {
 protected:
  RolloutTest() { sim.AddNode("head", {{"CPU", 6}}); }

  // The most and the fewest replicas in service, and the most processes, until all is done.
  struct Course {
    int fewest = 1000;
    int most = 0;
    int processes = 0;
  };

  Course Update(const nlohmann::json& options) {
    sim.Deploy("a", options);
    EXPECT_TRUE(sim.RunUntil([&] { return sim.AppStatus("a") == "RUNNING"; }));
    Course course;
    sim.Deploy("a", options, "v2");
    EXPECT_TRUE(sim.RunUntil([&] {
      const int routed = static_cast<int>(sim.routers.table.at({"a", "d"}).replicas.size());
      course.fewest = std::min(course.fewest, routed);
      course.most = std::max(course.most, routed);
      course.processes = std::max(course.processes, static_cast<int>(sim.engine.replicas.size()));
      return sim.AppStatus("a") == "RUNNING";
    }));
    for (const auto& replica : sim.Find("a")->replicas) EXPECT_EQ(replica.code_version, "v2");
    return course;
  }

  Sim sim;
};

TEST_F(RolloutTest, ASurgeKeepsWhatServes) {
  const Course course = Update({{"num_replicas", 3}, {"max_surge_percent", 33}});
  EXPECT_EQ(course.fewest, 3);
  EXPECT_EQ(course.most, 3) << "one leaves the routes as its successor joins them";
  EXPECT_EQ(course.processes, 5) << "one at a time starts, while another drains";
}

TEST_F(RolloutTest, TheOnlyReplicaStaysUntilTheNextOneServes) {
  const Course course = Update({{"max_surge_percent", 100}});
  EXPECT_EQ(course.fewest, 1);
  EXPECT_EQ(course.processes, 2);
}

TEST_F(RolloutTest, AnAutomaticSurgeUsesTheRoomThereIs) {
  const Course course = Update({{"num_replicas", 2}, {"max_surge_percent", "auto"}});
  EXPECT_EQ(course.fewest, 2);
}

TEST_F(RolloutTest, AnAutomaticSurgeWithoutRoomStopsOneBeforeItStartsOne) {
  const Course course = Update({{"num_replicas", 6}, {"max_surge_percent", "auto"}});
  EXPECT_EQ(course.fewest, 5);
  EXPECT_EQ(course.processes, 6);
}

TEST_F(RolloutTest, AnAutomaticSurgeDoesNotStopForWhatNoNodeCouldHold) {
  sim.Deploy("a", {{"num_replicas", 2}});
  sim.Run(seconds(1));
  sim.Deploy("a",
             {{"num_replicas", 2},
              {"max_surge_percent", "auto"},
              {"ray_actor_options", {{"num_cpus", 7}}}},
             "v2");
  sim.Run(minutes(1));
  EXPECT_EQ(sim.routers.table.at({"a", "d"}).replicas.size(), 2u);
}

TEST_F(RolloutTest, AFailedSurgeLeavesTheOldVersionWhole) {
  sim.Deploy("a", {{"num_replicas", 2}, {"max_surge_percent", 50}});
  sim.Run(seconds(1));
  sim.engine.behaviours["d"].start_error = "bad release";
  sim.Deploy("a", {{"num_replicas", 2}, {"max_surge_percent", 50}}, "v2");
  sim.Run(minutes(1));
  EXPECT_EQ(sim.AppStatus("a"), "DEPLOY_FAILED");
  EXPECT_EQ(sim.Running("a"), 2);
  EXPECT_EQ(sim.engine.replicas.size(), 2u);
}

TEST_F(RolloutTest, ASurgeEndsAtANewTargetInBetween) {
  sim.engine.behaviours["d"].start = seconds(1);
  sim.Deploy("a", {{"num_replicas", 3}, {"max_surge_percent", 100}});
  sim.Run(seconds(2));
  sim.Deploy("a", {{"num_replicas", 3}, {"max_surge_percent", 100}}, "v2");
  sim.Run(milliseconds(500));
  EXPECT_EQ(sim.engine.replicas.size(), 6u);
  sim.Deploy("a", {{"num_replicas", 1}, {"max_surge_percent", 100}}, "v2");
  ASSERT_TRUE(sim.RunUntil([&] { return sim.AppStatus("a") == "RUNNING"; }));
  EXPECT_EQ(sim.engine.replicas.size(), 1u);
  EXPECT_EQ(sim.Find("a")->replicas[0].code_version, "v2");
}

// A wave of one never stopped a gang of two.
TEST(RolloutFromGangs, Ends) {
  for (const nlohmann::json& surge :
       {nlohmann::json(0), nlohmann::json(50), nlohmann::json("auto")}) {
    for (const int replicas : {1, 3}) {
      Sim sim;
      sim.AddNode("head", {{"CPU", 8}});
      sim.Deploy("a", {{"num_replicas", 4}, {"gang_scheduling_config", {{"gang_size", 2}}}});
      sim.Run(seconds(1));
      sim.Deploy("a", {{"num_replicas", replicas}, {"max_surge_percent", surge}}, "v2");
      EXPECT_TRUE(sim.RunUntil([&] { return sim.AppStatus("a") == "RUNNING"; })) << surge;
      EXPECT_EQ(sim.Running("a"), replicas);
    }
  }
}

}  // namespace
}  // namespace penstock::scenario
