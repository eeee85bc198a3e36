#include "resources/demand.h"

#include <gtest/gtest.h>

#include <functional>

namespace penstock::resources {
namespace {

Quantity Q(double amount) { return *Quantity::FromDouble(amount); }

TEST(Demand, AsksForOneCpuByDefault) {
  const auto demand = MakeDemand({});
  EXPECT_EQ(demand->amounts, (ResourceSet{{"CPU", Q(1)}}));
  EXPECT_TRUE(demand->default_cpus);
  EXPECT_EQ(demand->selectors.size(), 1u);
}

TEST(Demand, ZeroCpusIsAllowedAndIsNotTheDefault) {
  const auto demand = MakeDemand({.num_cpus = 0});
  EXPECT_TRUE(demand->amounts.empty());
  EXPECT_FALSE(demand->default_cpus);
}

TEST(Demand, HoldsEverythingThatWasAskedFor) {
  const auto demand = MakeDemand({.num_cpus = 1.23456,
                                  .num_gpus = 0.5,
                                  .memory = 10.5,
                                  .object_store_memory = 75e6,
                                  .resources = {{"widget", 0.25}, {"HPU", 2}},
                                  .accelerator_type = "T4"});
  ASSERT_TRUE(demand.ok()) << demand.status().message();
  EXPECT_EQ(demand->amounts, (ResourceSet{{"CPU", Q(1.2345)},
                                          {"GPU", Q(0.5)},
                                          {"memory", Q(10)},
                                          {"object_store_memory", Q(75e6)},
                                          {"widget", Q(0.25)},
                                          {"HPU", Q(2)},
                                          {"accelerator_type:T4", Q(0.001)}}));
}

TEST(Demand, FallbacksFollowThePrimarySelector) {
  const auto demand = MakeDemand(
      {.label_selector = {{"zone", "a"}}, .fallback_label_selectors = {{{"zone", "b"}}, {}}});
  ASSERT_EQ(demand->selectors.size(), 3u);
  EXPECT_EQ(demand->selectors[0].terms()[0].text, "a");
  EXPECT_EQ(demand->selectors[1].terms()[0].text, "b");
  EXPECT_TRUE(demand->selectors[2].terms().empty());
}

struct BadRequest {
  const char* name;
  ReplicaResources request;
  const char* message;
};

class BadDemand : public testing::TestWithParam<BadRequest> {};

TEST_P(BadDemand, IsRefusedWithRaysWords) {
  const auto demand = MakeDemand(GetParam().request);
  ASSERT_FALSE(demand.ok());
  EXPECT_EQ(demand.status().code(), Code::kInvalidArgument);
  EXPECT_EQ(demand.status().message().find(GetParam().message), 0u) << demand.status().message();
}

INSTANTIATE_TEST_SUITE_P(
    AsRay, BadDemand,
    testing::Values(
        BadRequest{"negative_cpus",
                   {.num_cpus = -1},
                   "The quantity of resource num_cpus cannot be negative"},
        BadRequest{"negative_gpus",
                   {.num_gpus = -0.5},
                   "The quantity of resource num_gpus cannot be negative"},
        BadRequest{"negative_memory",
                   {.memory = -5},
                   "The quantity of resource memory cannot be negative"},
        BadRequest{"tiny_cpus",
                   {.num_cpus = 0.00001},
                   "The precision of the fractional quantity of resource num_cpus cannot go beyond "
                   "0.0001"},
        BadRequest{
            "tiny_custom",
            {.resources = {{"x", 0.00001}}},
            "The precision of the fractional quantity of resource x cannot go beyond 0.0001"},
        BadRequest{"negative_custom",
                   {.resources = {{"x", -1}}},
                   "The quantity of resource x cannot be negative"},
        BadRequest{"too_much_memory",
                   {.memory = 1e17},
                   "memory: an amount cannot be larger than 100000000000000"},
        BadRequest{
            "cpu_key", {.resources = {{"CPU", 1}}}, "Use the 'num_cpus' and 'num_gpus' keyword"},
        BadRequest{
            "gpu_key", {.resources = {{"GPU", 1}}}, "Use the 'num_cpus' and 'num_gpus' keyword"},
        BadRequest{"memory_key",
                   {.resources = {{"memory", 1}}},
                   "The resources dictionary must not contain the key 'memory'"},
        BadRequest{"store_key",
                   {.resources = {{"object_store_memory", 1}}},
                   "The resources dictionary must not contain the key 'memory'"},
        BadRequest{"bundle_key",
                   {.resources = {{"bundle", 1}}},
                   "The resource should not include `bundle`"},
        BadRequest{
            "half_hpu", {.resources = {{"HPU", 0.5}}}, "HPU resource quantity must be whole"},
        BadRequest{"bad_selector", {.label_selector = {{"a b", "c"}}}, "Invalid label key name"},
        BadRequest{"bad_fallback",
                   {.fallback_label_selectors = {{{"a", "in("}}}},
                   "Invalid label selector value"}),
    [](const auto& test) { return test.param.name; });

}  // namespace
}  // namespace penstock::resources
