// Bundles and gangs: what is placed, fails and ends together.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "scenario/sim.h"

namespace penstock::scenario {
namespace {

using control::Replica;
using control::ReplicaState;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;
using testing::HasSubstr;

Quantity FreeOf(const Sim& sim, const NodeId& node, const char* resource) {
  return sim.controller->state().cluster.Find(node)->resources.Free(resource);
}

struct World {
  Sim sim;
  NodeId head = sim.AddNode("head", {{"CPU", 4}, {"GPU", 2}});
  NodeId other = sim.AddNode("other", {{"CPU", 4}, {"widget", 4}});
};

const nlohmann::json kBundles = {{{"CPU", 1}, {"GPU", 1}}, {{"CPU", 2}, {"widget", 3}}};

TEST(Bundles, AreReservedTogetherAndTheReplicaRunsInTheFirst) {
  World w;
  w.sim.Deploy("a", {{"placement_group_bundles", kBundles},
                     {"ray_actor_options", {{"num_cpus", 0.5}, {"num_gpus", 1}}}});
  ASSERT_TRUE(w.sim.RunUntil([&] { return w.sim.AppStatus("a") == "RUNNING"; }));
  const Replica& replica = w.sim.Find("a")->replicas[0];
  EXPECT_EQ(replica.node, w.head);
  EXPECT_EQ(replica.allocation.amounts.Get("CPU"), *Quantity::FromDouble(0.5))
      << "it is given what it asked for";
  EXPECT_EQ(replica.allocation.devices.at("GPU").size(), 1u);
  EXPECT_EQ(FreeOf(w.sim, w.head, "CPU"), Quantity::Units(3)) << "the bundle is taken";
  EXPECT_EQ(FreeOf(w.sim, w.other, "widget"), Quantity::Units(1));
  w.sim.CheckInvariants();
  w.sim.controller->Delete("a");
  w.sim.Run(seconds(2));
  const auto& cluster = w.sim.controller->state().cluster;
  EXPECT_EQ(cluster.Free(), cluster.Total());
}

TEST(Bundles, WaitAsAWholeAndSayWhy) {
  World w;
  w.sim.Deploy("a", {{"num_replicas", 2}, {"placement_group_bundles", kBundles}});
  w.sim.Run(seconds(1));
  EXPECT_EQ(w.sim.Running("a"), 1);
  const Replica& waiting = w.sim.Find("a")->replicas[1];
  EXPECT_FALSE(waiting.placed);
  EXPECT_THAT(waiting.pending_text, HasSubstr("fits_later: PACK"));
  EXPECT_EQ(FreeOf(w.sim, w.head, "CPU"), Quantity::Units(3)) << "nothing is held meanwhile";
}

TEST(Bundles, AreTakenAgainByANewController) {
  World w;
  w.sim.Deploy("a", {{"placement_group_bundles", kBundles}});
  w.sim.Run(seconds(1));
  const auto before = w.sim.Replicas("a");
  for (const bool head_first : {true, false}) {
    w.sim.ReplaceController();
    w.sim.Rejoin(head_first ? w.head : w.other);
    w.sim.Rejoin(head_first ? w.other : w.head);
    w.sim.Run(seconds(1));
    EXPECT_EQ(w.sim.Replicas("a"), before);
    EXPECT_EQ(FreeOf(w.sim, w.other, "widget"), Quantity::Units(1));
    w.sim.CheckInvariants();
  }
}

TEST(Bundles, OfANodeThatDiesAreReplacedWithTheirReplica) {
  World w;
  w.sim.Deploy("a", {{"placement_group_bundles", kBundles}});
  w.sim.Run(seconds(1));
  const auto before = w.sim.Replicas("a");
  const NodeId third = w.sim.AddNode("third", {{"CPU", 4}, {"widget", 4}});
  w.sim.engine.KillNode(w.other);
  w.sim.controller->Settle();
  EXPECT_EQ(w.sim.AppStatus("a"), "UNHEALTHY") << "it is about to be replaced";
  ASSERT_TRUE(w.sim.RunUntil([&] {
    const auto now = w.sim.Replicas("a");
    return now.size() == 1 && now != before && w.sim.Running("a") == 1;
  }));
  EXPECT_EQ(w.sim.Find("a")->replicas[0].bundles.at(1).node, third);
  w.sim.CheckInvariants();
}

class GangTest : public testing::Test {
 protected:
  GangTest() { sim.AddNode("head", {{"CPU", 5}}); }

  static nlohmann::json Gangs(int replicas) {
    return {{"num_replicas", replicas}, {"gang_scheduling_config", {{"gang_size", 2}}}};
  }

  // Replicas in service by gang.
  std::map<std::string, int> Serving() const {
    std::map<std::string, int> gangs;
    for (const Replica& replica : sim.Find("a")->replicas) {
      if (replica.state == ReplicaState::kRunning) ++gangs[replica.gang];
    }
    return gangs;
  }

  Sim sim;
};

TEST_F(GangTest, IsPlacedAsAWhole) {
  sim.Deploy("a", Gangs(6));
  sim.Run(seconds(1));
  EXPECT_EQ(sim.Running("a"), 4) << "the fifth CPU holds half a gang, so none";
  const auto& replicas = sim.Find("a")->replicas;
  EXPECT_EQ(replicas[0].gang, replicas[1].gang);
  EXPECT_NE(replicas[1].gang, replicas[2].gang);
  EXPECT_EQ(replicas[0].gang_rank, 0);
  EXPECT_EQ(replicas[1].gang_rank, 1);
  const auto& order = sim.engine.replicas.at({{"a", "d"}, replicas[1].unique}).order;
  EXPECT_EQ(order.gang.members, (std::vector<std::string>{replicas[0].unique, replicas[1].unique}));
  EXPECT_THAT(replicas[4].pending_text, HasSubstr("fits_later"));
  EXPECT_EQ(replicas[5].pending_text, replicas[4].pending_text);
}

TEST_F(GangTest, EndsAndIsReplacedWithTheMemberThatDies) {
  sim.Deploy("a", Gangs(4));
  sim.Run(seconds(1));
  const auto before = Serving();
  const auto ids = sim.Replicas("a");
  sim.engine.Crash(ids[0]);
  sim.controller->Settle();
  ASSERT_TRUE(sim.RunUntil([&] { return sim.Running("a") == 4; }));
  const auto after = Serving();
  EXPECT_EQ(after.size(), 2u);
  EXPECT_FALSE(after.contains(before.begin()->first) && after.contains(before.rbegin()->first));
  EXPECT_FALSE(sim.engine.replicas.contains(ids[1]));
  EXPECT_TRUE(sim.engine.replicas.contains(ids[2]));
}

TEST_F(GangTest, CountsOneFailureForAMemberThatDoesNotStart) {
  sim.engine.behaviours["d"].start_error = "boom";
  sim.Deploy("a", Gangs(2));
  sim.Run(minutes(1));
  EXPECT_EQ(sim.AppStatus("a"), "DEPLOY_FAILED");
  EXPECT_TRUE(sim.engine.replicas.empty());
}

TEST_F(GangTest, ShrinksAndIsUpdatedByWholeGangs) {
  sim.Deploy("a", Gangs(4));
  sim.Run(seconds(1));
  sim.Deploy("a", Gangs(4), "v2");
  ASSERT_TRUE(sim.RunUntil([&] {
    EXPECT_GE(sim.routers.table.at({"a", "d"}).replicas.size(), 2u);
    return sim.AppStatus("a") == "RUNNING";
  }));
  for (const Replica& replica : sim.Find("a")->replicas) EXPECT_EQ(replica.code_version, "v2");
  sim.Deploy("a", Gangs(2), "v2");
  ASSERT_TRUE(sim.RunUntil([&] { return sim.AppStatus("a") == "RUNNING"; }));
  EXPECT_THAT(Serving(), testing::ElementsAre(testing::Pair(testing::_, 2)));
}

TEST_F(GangTest, IsAdoptedByANewController) {
  sim.Deploy("a", Gangs(4));
  sim.Run(seconds(1));
  const auto before = Serving();
  sim.RestartController();
  sim.Run(seconds(1));
  EXPECT_EQ(Serving(), before);
}

TEST_F(GangTest, WithAMemberThatDiedUnseenEnds) {
  sim.Deploy("a", Gangs(4));
  sim.Run(seconds(1));
  const auto ids = sim.Replicas("a");
  sim.engine.replicas.erase(ids[0]);  // while nobody controls
  sim.RestartController();
  ASSERT_TRUE(sim.RunUntil([&] { return sim.Running("a") == 4; }));
  EXPECT_FALSE(sim.engine.replicas.contains(ids[1]));
  for (const auto& [gang, members] : Serving()) EXPECT_EQ(members, 2);
}

}  // namespace
}  // namespace penstock::scenario
