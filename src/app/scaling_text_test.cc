#include "app/scaling_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace penstock::app {
namespace {

using nlohmann::json;
using testing::HasSubstr;

json Change() {
  return {{"time_s", 1.7e9},
          {"from", 1},
          {"to", 3},
          {"rule", "upscale"},
          {"running", 1},
          {"requests", 7.5},
          {"queued", 2.0},
          {"wanted", 3.75},
          {"target_ongoing_requests", 2.0},
          {"desired", 4},
          {"policy", nullptr},
          {"min_replicas", 1},
          {"max_replicas", 3},
          {"bound", "max_replicas"}};
}

json Scaling(const json& changes, bool autoscaled = true) {
  return {{"app", "shop"}, {"deployment", "Cart"},     {"target_num_replicas", 3},
          {"running", 2},  {"autoscaled", autoscaled}, {"changes", changes}};
}

TEST(ScalingText, SaysWhatWasKnownAndWhatCameOfIt) {
  const std::string text = ScalingText(Scaling(json::array({Change()})));
  EXPECT_THAT(text, HasSubstr("shop/Cart: 3 replicas wanted, 2 in service\n"));
  EXPECT_THAT(text,
              HasSubstr("1 -> 3  upscale: 7.5 requests (2 waiting), 1 in service: 7.5 / 2 each "
                        "= 3.75, so 4, max_replicas is 3\n"));
}

TEST(ScalingText, NamesThePolicyAndWhatOtherOptionsWouldHaveDone) {
  json change = Change();
  change["policy"] = "mine:policy";
  change["bound"] = nullptr;
  change["would_be"] = 2;
  EXPECT_THAT(ScalingText(Scaling(json::array({change}))),
              HasSubstr("policy mine:policy wants 3.75, so 4; with the other options 2\n"));
}

TEST(ScalingText, SaysForWhomAReplicaMadeRoom) {
  json change = Change();
  change["made_room"] = "Replica 'r' made room.";
  change["rule"] = "made_room";
  EXPECT_THAT(ScalingText(Scaling(json::array({change}))),
              HasSubstr("1 -> 3  made_room: Replica 'r' made room.\n"));
}

TEST(ScalingText, OfNothing) {
  EXPECT_THAT(ScalingText(Scaling(json::array())), HasSubstr("changed nothing yet"));
  EXPECT_THAT(ScalingText(Scaling(json::array(), false)), HasSubstr("Its size is fixed"));
}

}  // namespace
}  // namespace penstock::app
