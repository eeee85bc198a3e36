#include "config/router_options.h"

#include <gtest/gtest.h>

#include <string>

namespace penstock::config {
namespace {

using nlohmann::json;
using Kind = RequestRouterSpec::Kind;

TEST(RouterOptions, DefaultsAreThoseOfTheSpecification) {
  const auto spec = ParseRequestRouter(json::object());
  ASSERT_TRUE(spec.ok());
  EXPECT_EQ(*spec, RequestRouterSpec());
  EXPECT_EQ(spec->request_routing_stats_period_s, 10);
  EXPECT_EQ(spec->request_routing_stats_timeout_s, 30);
}

TEST(RouterOptions, ServesOwnRoutersAreKnownByTheirNames) {
  const auto kind = [](const std::string& path) {
    return ParseRequestRouter({{"request_router_class", path}})->kind;
  };
  EXPECT_EQ(kind("ray.serve._private.request_router:PowerOfTwoChoicesRequestRouter"),
            Kind::kPowerOfTwoChoices);
  EXPECT_EQ(kind("ray.serve.experimental.round_robin_router.RoundRobinRouter"), Kind::kRoundRobin);
  EXPECT_EQ(kind("penstock.serve.request_router:ConsistentHashRouter"), Kind::kConsistentHash);
  EXPECT_EQ(kind("mine:RoundRobinRouter"), Kind::kCustom);
  EXPECT_EQ(kind("ray.serve.mine:Other"), Kind::kCustom);
  EXPECT_EQ(ParseRequestRouter({{"request_router_class", "m.n:C"}})->request_router_class, "m.n:C");
}

struct Refusal {
  json options;
  std::string message;
};

class Refused : public testing::TestWithParam<Refusal> {};

TEST_P(Refused, NamesFieldValueAndWhatIsAllowed) {
  const auto spec = ParseRequestRouter(GetParam().options);
  ASSERT_FALSE(spec.ok());
  EXPECT_EQ(spec.status().message(), GetParam().message);
}

const char* const kHash = "ray.serve.experimental.consistent_hash_router:ConsistentHashRouter";

INSTANTIATE_TEST_SUITE_P(
    RouterOptions, Refused,
    testing::Values(
        Refusal{5, "request_router_config: Input should be a valid dictionary, got 5"},
        Refusal{{{"request_router_class", 5}},
                "request_router_config.request_router_class: Input should be a valid string, got "
                "5"},
        Refusal{{{"request_router_class", "Router"}},
                "request_router_config.request_router_class: Input should be an import path, "
                "'module:Class' or 'module.Class', got 'Router'"},
        Refusal{{{"request_router_kwargs", {1}}},
                "request_router_config.request_router_kwargs: Input should be a valid dictionary, "
                "got [1]"},
        Refusal{{{"request_routing_stats_period_s", 0}},
                "request_router_config.request_routing_stats_period_s: Input should be greater "
                "than 0, got 0"},
        Refusal{{{"request_router_class", kHash},
                 {"request_router_kwargs", {{"num_virtual_nodes", 0}}}},
                "request_router_config.request_router_kwargs.num_virtual_nodes: Input should be "
                "greater than or equal to 1, got 0"},
        Refusal{{{"request_router_class", kHash}, {"request_router_kwargs", {{"nodes", 1}}}},
                "request_router_config.request_router_kwargs.nodes: Extra inputs are not "
                "permitted, allowed are num_virtual_nodes, num_fallback_replicas"}));

}  // namespace
}  // namespace penstock::config
