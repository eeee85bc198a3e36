// The controller dies at every point of several stories: before and after each commit, before each
// order and each update of the routes. The next one finishes what was begun, and repeats nothing.
#include <gtest/gtest.h>

#include <functional>
#include <ostream>
#include <string>
#include <vector>

#include "scenario/invariants.h"
#include "scenario/sim.h"

namespace penstock::scenario {
namespace {

using nlohmann::json;
using std::chrono::milliseconds;
using std::chrono::seconds;

// What a user asks for. One whose connection breaks asks again, unless it was heard.
struct Ask {
  std::function<void(Sim&)> ask;
  std::function<bool(const Sim&)> heard;
};

struct Story {
  const char* name;
  std::vector<Ask> before;
  Ask ask;
  Wishes wishes;
  int repeated = 0;  // starts that a death may cost: the members of half a gang
};

void PrintTo(const Story& story, std::ostream* out) { *out << story.name; }

json AppOf(const std::vector<std::pair<std::string, json>>& deployments,
           const std::string& version) {
  json list = json::array();
  for (const auto& [name, options] : deployments) {
    list.push_back({{"name", name}, {"options", options}, {"code_version", version}});
  }
  return {{"name", "a"},
          {"route_prefix", "/a"},
          {"ingress", deployments.front().first},
          {"deployments", list}};
}

using Deployments = std::vector<std::pair<std::string, json>>;

Ask Deploys(const Deployments& deployments, const std::string& version) {
  return {.ask = [=](Sim& sim) { sim.DeployApp(AppOf(deployments, version)); },
          .heard =
              [=](const Sim& sim) {
                for (const auto& [name, options] : deployments) {
                  const auto* found = sim.Find("a", name);
                  if (found == nullptr || found->target.code_version != version) return false;
                  for (const auto& [option, value] : options.items()) {
                    if (found->target.options.value(option, json()) != value) return false;
                  }
                }
                return sim.controller->state().apps.at("a").deployments.size() ==
                       deployments.size();
              }};
}

Ask Deletes() {
  return {.ask =
              [](Sim& sim) {
                sim.controller->Delete("a");
                sim.Settle();
              },
          .heard =
              [](const Sim& sim) {
                return sim.AppStatus("a") == "" || sim.AppStatus("a") == "DELETING";
              }};
}

Ask Drains() {
  return {
      .ask =
          [](Sim& sim) {
            EXPECT_TRUE(sim.controller->Drain("node1", std::nullopt).ok());
            sim.Settle();
          },
      .heard =
          [](const Sim& sim) { return sim.controller->state().cluster.Find("node1")->draining; }};
}

Wishes Wished(const Deployments& deployments, const std::string& version) {
  Wishes wishes;
  for (const auto& [name, options] : deployments) {
    wishes[{"a", name}] = {.version = version, .options = options};
  }
  return wishes;
}

Story Deploying(const char* name, std::vector<Ask> before, const Deployments& after,
                const std::string& version) {
  return {.name = name,
          .before = std::move(before),
          .ask = Deploys(after, version),
          .wishes = Wished(after, version)};
}

std::vector<Story> Stories() {
  const json gpu = {{"num_gpus", 0.5}};
  const Deployments two = {{"d", {{"num_replicas", 3}, {"ray_actor_options", gpu}}},
                           {"e", {{"num_replicas", 2}}}};
  const Deployments more = {{"d", {{"num_replicas", 4}, {"ray_actor_options", gpu}}},
                            {"e", {{"num_replicas", 1}}}};
  const Deployments surging = {{"d", {{"num_replicas", 3}, {"max_surge_percent", 50}}}};
  const Deployments told = {{"d", {{"num_replicas", 3}, {"user_config", {{"k", 1}}}}}};
  const Deployments retold = {{"d", {{"num_replicas", 3}, {"user_config", {{"k", 2}}}}}};
  const Deployments gangs = {
      {"d", {{"num_replicas", 4}, {"gang_scheduling_config", {{"gang_size", 2}}}}}};
  const Deployments bundles = {
      {"d", {{"placement_group_bundles", {{{"CPU", 2}, {"GPU", 1}}, {{"CPU", 3}}}}}}};
  std::vector<Story> stories = {
      Deploying("deploy", {}, two, "v1"),
      Deploying("update", {Deploys(two, "v1")}, two, "v2"),
      Deploying("surge", {Deploys(surging, "v1")}, surging, "v2"),
      Deploying("scale", {Deploys(two, "v1")}, more, "v1"),
      Deploying("drop", {Deploys(two, "v1")}, {two.front()}, "v1"),
      Deploying("reconfigure", {Deploys(told, "v1")}, retold, "v1"),
      Deploying("bundles", {Deploys(bundles, "v1")}, bundles, "v2"),
      {.name = "delete", .before = {Deploys(two, "v1")}, .ask = Deletes(), .wishes = {}},
      {.name = "drain",
       .before = {Deploys(two, "v1")},
       .ask = Drains(),
       .wishes = Wished(two, "v1")}};
  for (Story gang : {Deploying("gang", {}, gangs, "v1"),
                     Deploying("gang_update", {Deploys(gangs, "v1")}, gangs, "v2")}) {
    gang.repeated = 1;
    stories.push_back(gang);
  }
  return stories;
}

class CrashPoints : public testing::TestWithParam<Story> {
 protected:
  static constexpr int kNever = 1 << 20;

  // Tells the story, with a death at the point after `points`; returns how many starts it took.
  // `died` says whether that point was reached.
  static int Live(const Story& story, int points, bool& died) {
    Sim sim;
    sim.AddNode("head", {{"CPU", 12}, {"GPU", 2}});
    sim.AddNode("other", {{"CPU", 12}, {"GPU", 2}});
    for (const Ask& ask : story.before) ask.ask(sim);
    sim.Run(seconds(20));
    const int before = sim.engine.starts;
    sim.DieAfter(points);
    story.ask.ask(sim);
    if (sim.deaths() > 0 && !story.ask.heard(sim)) story.ask.ask(sim);
    sim.Run(seconds(20));
    died = sim.deaths() > 0;
    sim.DieAfter(kNever);
    for (const auto& node : sim.nodes()) EXPECT_TRUE(sim.controller->Undrain(node.id).ok());
    sim.Settle();
    sim.Run(seconds(1));
    for (const std::string& what : BrokenAtRest(sim, story.wishes)) ADD_FAILURE() << what;
    return sim.engine.starts - before;
  }
};

TEST_P(CrashPoints, AreAllSurvived) {
  const Story& story = GetParam();
  bool died = false;
  const int starts = Live(story, kNever, died);
  ASSERT_FALSE(died);
  int point = 0;
  for (died = true; died; ++point) {
    SCOPED_TRACE("point " + std::to_string(point));
    const int took = Live(story, point, died);
    EXPECT_GE(took, starts);
    EXPECT_LE(took, starts + story.repeated) << "something was started twice";
    if (HasFailure()) return;
  }
  EXPECT_GT(point, 5);
}

INSTANTIATE_TEST_SUITE_P(Stories, CrashPoints, testing::ValuesIn(Stories()),
                         [](const auto& test) { return test.param.name; });

}  // namespace
}  // namespace penstock::scenario
