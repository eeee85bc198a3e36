#include "resources/node.h"

#include <gtest/gtest.h>

#include "resources/demand.h"

namespace penstock::resources {
namespace {

Quantity Q(double amount) { return *Quantity::FromDouble(amount); }

NodeResources NodeWith(ResourceSet total) {
  return NodeResources(
      NodeSpec{.id = "n", .name = "n", .ip = "127.0.0.1", .total = std::move(total)});
}

using Devices = std::vector<std::size_t>;

// Takes `amount` GPUs; the devices it got, empty when it does not fit.
Devices TakeGpus(NodeResources& node, double amount) {
  const auto fit = node.Fit({{"GPU", Q(amount)}});
  const auto* allocation = std::get_if<Allocation>(&fit);
  if (allocation == nullptr) return {};
  node.Take(*allocation);
  Devices devices;
  for (const DeviceShare& share : allocation->devices.at("GPU")) devices.push_back(share.device);
  return devices;
}

struct PackingCase {
  const char* name;
  int gpus;
  std::vector<double> demands;
  std::vector<Devices> devices;
};

class Packing : public testing::TestWithParam<PackingCase> {};

TEST_P(Packing, ReproducesRaysDevices) {
  const auto& [name, gpus, demands, devices] = GetParam();
  NodeResources node = NodeWith({{"GPU", Quantity::Units(gpus)}});
  for (std::size_t i = 0; i < demands.size(); ++i) {
    EXPECT_EQ(TakeGpus(node, demands[i]), devices[i]) << "demand " << i;
  }
}

// Behaviour specification, 3.6: verified on Ray.
INSTANTIATE_TEST_SUITE_P(
    AsRay, Packing,
    testing::Values(PackingCase{"halves", 2, {.5, .5, .4, .4, .2}, {{0}, {0}, {1}, {1}, {1}}},
                    PackingCase{"thirds", 2, {.3, .6, .6, .4}, {{0}, {0}, {1}, {1}}},
                    PackingCase{"best_not_first", 2, {.5, .7, .3, .5}, {{0}, {1}, {1}, {0}}},
                    PackingCase{"mixed", 4, {.5, 1, 2, .5}, {{0}, {1}, {2, 3}, {0}}},
                    PackingCase{"two_then_shares", 4, {2, .9, .9}, {{0, 1}, {2}, {3}}},
                    PackingCase{"no_four_thirds", 2, {.34, .34, .34, .33}, {{0}, {0}, {1}, {1}}},
                    PackingCase{"half_used_never_counts", 2, {.5, 2, 1}, {{0}, {}, {1}}}),
    [](const auto& test) { return test.param.name; });

TEST(NodeResources, WhatFitsInSumButOnNoDeviceDoesNotFit) {
  NodeResources node = NodeWith({{"GPU", Q(2)}});
  TakeGpus(node, 0.6);
  TakeGpus(node, 0.6);
  const auto fit = node.Fit({{"GPU", Q(0.5)}});
  const auto& shortage = std::get<Shortage>(fit);
  EXPECT_EQ(shortage.kind, Shortage::Kind::kLater);
  EXPECT_EQ(shortage.free, Q(0.8));
  EXPECT_EQ(shortage.usable, Q(0.4));
  EXPECT_TRUE(node.CouldEverFit({{"GPU", Q(0.5)}}));
}

TEST(NodeResources, ExplainsWhatIsShort) {
  NodeResources node = NodeWith({{"CPU", Q(4)}, {"GPU", Q(2)}});
  TakeGpus(node, 0.5);
  const auto explain = [&](const ResourceSet& demand) {
    return std::get<Shortage>(node.Fit(demand));
  };

  const Shortage never = explain({{"CPU", Q(1)}, {"unobtainium", Q(1)}});
  EXPECT_EQ(never.kind, Shortage::Kind::kNever);
  EXPECT_EQ(never.resource, "unobtainium");
  EXPECT_EQ(never.total, Quantity());
  EXPECT_EQ(never.usable, std::nullopt);

  const Shortage later = explain({{"GPU", Q(2)}});
  EXPECT_EQ(later.kind, Shortage::Kind::kLater);
  EXPECT_EQ(later.usable, Q(1)) << "devices wholly free";

  EXPECT_EQ(explain({{"GPU", Q(3)}}).kind, Shortage::Kind::kNever);
  EXPECT_EQ(explain({{"GPU", Q(1.5)}}).kind, Shortage::Kind::kImpossible);
}

TEST(NodeResources, GivesBackToTheSameDevices) {
  NodeResources node = NodeWith({{"CPU", Q(4)}, {"GPU", Q(2)}});
  const auto first = std::get<Allocation>(node.Fit({{"CPU", Q(1.5)}, {"GPU", Q(0.5)}}));
  node.Take(first);
  const auto second = std::get<Allocation>(node.Fit({{"CPU", Q(1)}, {"GPU", Q(1)}}));
  node.Take(second);
  EXPECT_EQ(node.allocations(), 2);
  EXPECT_EQ(node.FreeAmounts(), (ResourceSet{{"CPU", Q(1.5)}, {"GPU", Q(0.5)}}));
  node.GiveBack(first);
  EXPECT_EQ(node.FreeShares("GPU"), (std::vector<Quantity>{kOneUnit, Quantity()}));
  node.GiveBack(second);
  EXPECT_EQ(node.FreeAmounts(), node.spec().total);
  EXPECT_EQ(node.allocations(), 0);
}

TEST(NodeResourcesDeathTest, OneDeviceIsNeverGivenTwice) {
  NodeResources node = NodeWith({{"GPU", Q(1)}});
  const auto fit = std::get<Allocation>(node.Fit({{"GPU", Q(1)}}));
  node.Take(fit);
  EXPECT_DEATH(node.Take(fit), "broken invariant");
  node.GiveBack(fit);
  EXPECT_DEATH(node.GiveBack(fit), "broken invariant");
}

TEST(NodeResources, HoldsWhatIsFreeDeviceByDevice) {
  NodeResources node = NodeWith({{"CPU", Q(2)}, {"GPU", Q(2)}});
  const auto gpus = [](std::vector<DeviceShare> shares) {
    Allocation allocation{.amounts = {{"GPU", Q(1)}}};
    allocation.devices["GPU"] = std::move(shares);
    return allocation;
  };
  EXPECT_TRUE(node.Holds({.amounts = {{"CPU", Q(2)}}}));
  EXPECT_FALSE(node.Holds({.amounts = {{"CPU", Q(3)}}}));
  EXPECT_FALSE(node.Holds({.amounts = {{"widget", Q(1)}}}));
  EXPECT_TRUE(node.Holds(gpus({{0, Q(0.5)}, {0, Q(0.5)}})));
  EXPECT_FALSE(node.Holds(gpus({{0, Q(0.5)}, {0, Q(0.6)}})));
  EXPECT_FALSE(node.Holds(gpus({{2, Q(1)}})));
  EXPECT_FALSE(node.Holds(gpus({{0, Q(-1)}})));
  node.Take(gpus({{1, Q(0.5)}}));
  EXPECT_FALSE(node.Holds(gpus({{1, Q(1)}})));
}

TEST(NodeResources, EveryNodeHasOneOfEachImplicitResource) {
  NodeResources node = NodeWith({{"CPU", Q(8)}});
  const std::string implicit = std::string(kImplicitPrefix) + "app:d";
  const ResourceSet half{{implicit, Q(0.5)}};
  for (int i = 0; i < 2; ++i) node.Take(std::get<Allocation>(node.Fit(half)));
  const auto third = node.Fit(half);
  EXPECT_EQ(std::get<Shortage>(third).resource, implicit);
  EXPECT_EQ(std::get<Shortage>(third).kind, Shortage::Kind::kLater);
  EXPECT_TRUE(std::holds_alternative<Allocation>(node.Fit({{implicit + "2", Q(1)}})));
  EXPECT_EQ(node.FreeAmounts(), (ResourceSet{{"CPU", Q(8)}})) << "not shown to people";
}

TEST(NodeTotals, MustBeWholeAndWithinRange) {
  EXPECT_TRUE(CheckNodeTotals({{"CPU", 4}, {"widget", 0}, {"memory", 1e14}}).ok());
  EXPECT_EQ(CheckNodeTotals({{"foo", 1.5}}).message(),
            "Resource quantities must all be whole numbers. Violated by resource 'foo'.");
  EXPECT_FALSE(CheckNodeTotals({{"foo", -1}}).ok());
  EXPECT_FALSE(CheckNodeTotals({{"foo", 1e15}}).ok());
  EXPECT_FALSE(CheckNodeTotals({{"node:__internal_head__", 1}}).ok());
}

}  // namespace
}  // namespace penstock::resources
