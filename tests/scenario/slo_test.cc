// The policy penstock:slo in a controller: routers' reports in, replicas out.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "control/scaling_json.h"
#include "scenario/sim.h"

namespace penstock::scenario {
namespace {

using nlohmann::json;
using std::chrono::minutes;
using std::chrono::seconds;

constexpr double kService_s = 2;
constexpr int kSlots = 2;

class SloTest : public testing::Test {
 protected:
  SloTest() { sim.AddNode("head", {{"CPU", 64}}); }

  void Deploy(int min = 1) {
    sim.Deploy("a", {{"max_ongoing_requests", kSlots},
                     {"autoscaling_config",
                      {{"min_replicas", min},
                       {"max_replicas", 40},
                       {"downscale_to_zero_delay_s", 30},
                       {"policy",
                        {{"policy_function", "penstock:slo"},
                         {"policy_kwargs", {{"waiting_objective_s", 1}}}}}}}});
    sim.Run(seconds(1));
  }

  // One second of traffic at `rate`, as a fluid, reported by one router.
  void Second(double rate) {
    arrived_ += rate;
    queued_ += rate;
    running_ -= running_ * (1 - std::exp(-1 / kService_s));
    const double room = sim.Running("a") * kSlots - running_;
    const double begun = std::clamp(room, 0.0, queued_);
    queued_ -= begun;
    running_ += begun;
    control::LoadReport report{.router = "proxy",
                               .deployment = {"a", "d"},
                               .arrived = static_cast<std::uint64_t>(arrived_),
                               .queued = std::floor(queued_)};
    const auto& replicas = sim.Find("a")->replicas;
    if (running_ >= 0.5 && !replicas.empty()) {
      report.running[replicas.front().unique] = std::round(running_);
    }
    sim.controller->OnLoad(report);
    sim.Run(seconds(1));
    if (targets_.empty() || targets_.back() != target()) targets_.push_back(target());
  }
  void Traffic(double rate, int for_s) {
    for (int i = 0; i < for_s; ++i) Second(rate);
  }

  // How often the target went the other way.
  int Turns() const {
    int turns = 0;
    for (std::size_t i = 2; i < targets_.size(); ++i) {
      turns += (targets_[i] > targets_[i - 1]) != (targets_[i - 1] > targets_[i - 2]) ? 1 : 0;
    }
    return turns;
  }

  int target() const { return sim.Find("a")->target_replicas; }
  json Explain(const std::optional<AutoscalingSpec>& other = {}) const {
    const auto* deployment = sim.Find("a");
    return control::ScalingJson(*deployment, sim.controller->autoscaler().JournalOf(deployment->id),
                                other);
  }

  Sim sim;
  double arrived_ = 0;
  double queued_ = 0;
  double running_ = 0;
  std::vector<int> targets_;  // each change of it
};

TEST_F(SloTest, AStepOfLoadIsServedWithoutFlapping) {
  Deploy();
  Traffic(1, 300);
  targets_.clear();
  Traffic(12, 300);  // 24 slots are busy: 12 replicas and some more
  EXPECT_LT(queued_, 2);
  EXPECT_GE(target(), 12);
  EXPECT_LE(Turns(), 1) << testing::PrintToString(targets_)
                        << "up for the backlog, and down when it is gone";
  targets_.clear();
  Traffic(12, 3600);
  EXPECT_LE(target(), 16);
  EXPECT_LE(Turns(), 1) << testing::PrintToString(targets_) << "the load is steady";
  EXPECT_LT(queued_, 2);
}

TEST_F(SloTest, SaysWhyInTheJournal) {
  Deploy();
  Traffic(1, 60);
  Traffic(12, 60);
  const json changes = Explain().at("changes");
  ASSERT_FALSE(changes.empty());
  const json& change = changes.back();
  EXPECT_EQ(change.at("policy"), "penstock:slo");
  EXPECT_EQ(change.at("wanted"), change.at("to"));
  EXPECT_TRUE(change.at("rule") == "load" || change.at("rule") == "backlog" ||
              change.at("rule") == "forecast")
      << change;
  EXPECT_TRUE(change.contains("forecast"));
  AutoscalingSpec other = sim.Find("a")->target.spec.autoscaling.value();
  other.max_replicas = 2;
  EXPECT_EQ(Explain(other).at("changes").back().at("would_be"), 2);
  other.slo.reset();
  EXPECT_TRUE(Explain(other).at("changes").back().at("would_be").is_number())
      << "Serve's default goes by one moment";
}

TEST_F(SloTest, CannotBeAskedAboutWhatAnotherPolicyDecided) {
  sim.Deploy("a", {{"autoscaling_config", {{"max_replicas", 9}, {"upscale_delay_s", 0}}}});
  sim.Run(seconds(1));
  sim.Load("a", 0, 10);
  ASSERT_TRUE(sim.RunUntil([&] { return target() > 1; }, seconds(60)));
  AutoscalingSpec other = sim.Find("a")->target.spec.autoscaling.value();
  other.slo.emplace();
  EXPECT_TRUE(Explain(other).at("changes").back().at("would_be").is_null());
}

TEST_F(SloTest, SleepsAndWakesAtOnce) {
  Deploy(0);
  Traffic(1, 20);
  EXPECT_GE(target(), 1);
  Traffic(0, 900);
  EXPECT_EQ(target(), 0);
  arrived_ += 1;
  sim.controller->OnLoad({.router = "proxy",
                          .deployment = {"a", "d"},
                          .arrived = static_cast<std::uint64_t>(arrived_),
                          .queued = 1});
  sim.controller->Settle();
  ASSERT_TRUE(sim.RunUntil([&] { return sim.Running("a") == 1; }, std::chrono::milliseconds(500)));
}

TEST_F(SloTest, AfterARestartOfTheControllerNothingIsGivenUpUnseen) {
  Deploy();
  Traffic(12, 300);
  const int before = target();
  sim.RestartController();
  sim.Run(seconds(5));
  targets_.clear();
  Traffic(12, 20);
  for (const int target : targets_) EXPECT_GE(target, before);
}

}  // namespace
}  // namespace penstock::scenario
