// Sizes that are set from outside.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "scenario/sim.h"

namespace penstock::scenario {
namespace {

using control::DeploymentStatus;
using std::chrono::minutes;
using std::chrono::seconds;
using testing::HasSubstr;

const DeploymentId kId{"a", "d"};

class ExternalScalerTest : public testing::Test {
 protected:
  ExternalScalerTest() {
    head = sim.AddNode("head", {{"CPU", 4}});
    sim.DeployApp({{"name", "a"},
                   {"ingress", "d"},
                   {"external_scaler_enabled", true},
                   {"deployments", {{{"name", "d"}, {"options", {{"num_replicas", 2}}}}}}},
                  "v1");
    sim.Run(seconds(1));
  }

  void Scale(int replicas) {
    const Status status = sim.controller->Scale(kId, replicas);
    EXPECT_TRUE(status.ok()) << status.message();
    sim.Settle();
  }

  Sim sim;
  NodeId head;
};

TEST_F(ExternalScalerTest, SetsTheNumberAtOnceAndWithoutBounds) {
  Scale(4);
  EXPECT_EQ(sim.Find("a")->status.status, DeploymentStatus::kUpscaling);
  EXPECT_EQ(sim.Find("a")->status.message, "Upscaling from 2 to 4 replicas.");
  sim.Run(seconds(1));
  EXPECT_EQ(sim.Running("a"), 4);
  EXPECT_EQ(sim.Find("a")->status.status, DeploymentStatus::kHealthy);
  Scale(0);
  sim.Run(seconds(1));
  EXPECT_EQ(sim.Running("a"), 0);
  EXPECT_EQ(sim.Find("a")->status.status, DeploymentStatus::kHealthy);
  EXPECT_EQ(sim.AppStatus("a"), "RUNNING");
}

TEST_F(ExternalScalerTest, OutlastsTheController) {
  Scale(3);
  sim.Run(seconds(1));
  sim.ReplaceController();
  sim.Rejoin(head);
  sim.Run(seconds(1));
  EXPECT_EQ(sim.Running("a"), 3);
  Scale(1);
}

TEST_F(ExternalScalerTest, WhatItSetIsGuaranteed) {
  Scale(4);
  sim.Run(seconds(1));
  sim.Deploy("b", {{"priority", 1000}});
  sim.Run(minutes(1));
  EXPECT_EQ(sim.Running("a"), 4);
}

TEST_F(ExternalScalerTest, WhatCannotBeIsRefusedAndChangesNothing) {
  EXPECT_EQ(sim.controller->Scale({"a", "other"}, 1).code(), Code::kNotFound);
  EXPECT_EQ(sim.controller->Scale({"other", "d"}, 1).code(), Code::kNotFound);
  sim.Deploy("b", {{"num_replicas", 1}});
  sim.Run(seconds(1));
  const Status no = sim.controller->Scale({"b", "d"}, 2);
  EXPECT_EQ(no.code(), Code::kFailedPrecondition);
  EXPECT_THAT(no.message(), HasSubstr("Deployment(name='d', app='b')"));
  EXPECT_THAT(no.message(), HasSubstr("external_scaler_enabled=false"));
  sim.controller->Delete("a");
  EXPECT_EQ(sim.controller->Scale(kId, 1).code(), Code::kFailedPrecondition);
  EXPECT_EQ(sim.Find("b")->target_replicas, 1);
}

}  // namespace
}  // namespace penstock::scenario
