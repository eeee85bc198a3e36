#include "engine/local/messages.h"

#include <gtest/gtest.h>

namespace penstock::engine::local {
namespace {

using nlohmann::json;

json Node() {
  resources::NodeSpec node{.id = "n", .name = "head", .ip = "127.0.0.1", .is_head = true};
  node.labels = {{"zone", "b"}};
  node.total = {{"CPU", Quantity::Units(8)}};
  node.device_ids = {{"GPU", {"0", "1"}}};
  node.gpu_vendor = "nvidia";
  return ToJson(node);
}

TEST(Messages, ANodeSurvivesTheTrip) {
  const auto node = NodeSpecFrom(Node());
  ASSERT_TRUE(node.ok());
  EXPECT_EQ(ToJson(*node), Node());
}

TEST(Messages, AmountsThatNoNodeHasAreRefused) {
  for (const std::int64_t amount : {std::int64_t{-1}, std::numeric_limits<std::int64_t>::max()}) {
    json node = Node();
    node["total"]["CPU"] = amount;
    EXPECT_EQ(NodeSpecFrom(node).status(), InvalidArgument("node: amount of CPU is out of range"));
  }
}

TEST(Messages, AmountsAreWholeSteps) {
  for (const json& amount : std::vector<json>{1.5, 1e30, "1", nullptr}) {
    json node = Node();
    node["total"]["CPU"] = amount;
    EXPECT_EQ(NodeSpecFrom(node).status().code(), Code::kInvalidArgument) << amount;
  }
}

TEST(Messages, AForkAnswerIsAProcessOrAReason) {
  EXPECT_EQ(ForkAnswerFrom({{"pid", 7}})->pid, 7);
  const auto refused = ForkAnswerFrom({{"why_not", "changed"}, {"ends", true}});
  EXPECT_EQ(refused->why_not, "changed");
  EXPECT_TRUE(refused->ends);
  for (const json& bad :
       {json{{"pid", 0}}, json{{"pid", "7"}}, json{{"why_not", ""}, {"ends", false}},
        json{{"why_not", "no"}}, json::object(), json(json::value_t::discarded)}) {
    EXPECT_EQ(ForkAnswerFrom(bad).status().code(), Code::kInvalidArgument);
  }
}

TEST(Messages, AMissingFieldIsNamed) {
  json node = Node();
  node.erase("ip");
  EXPECT_NE(NodeSpecFrom(node).status().message().find("key 'ip' not found"), std::string::npos);
  EXPECT_EQ(NodeSpecFrom(json()).status().code(), Code::kInvalidArgument);
}

TEST(Messages, AnEventOfAnUnknownKindIsRefusedWhateverItIs) {
  const auto refusal = [](const json& event) { return ReplicaEventFrom(event).status().message(); };
  EXPECT_EQ(refusal({{"kind", "gone"}}), R"(replica event: unknown kind "gone")");
  EXPECT_EQ(refusal({{"kind", 1}}), "replica event: unknown kind 1");
  EXPECT_EQ(refusal(json::array()), "replica event: unknown kind null");
}

}  // namespace
}  // namespace penstock::engine::local
