// Random small clusters, held against a packer that knows no shortcut: it tries every set of
// devices of every node. No false fit, no missed fit, no device given twice, refusals truthful.
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <array>
#include <bit>
#include <map>
#include <vector>

#include "placement/place.h"

namespace penstock::placement {
namespace {

using resources::Demand;
using resources::ResourceSet;

// Steps of 1e-4, as plain integers: the packer shares no arithmetic with the code under test.
constexpr int kUnit = 10'000;
constexpr std::array<const char*, 3> kScalars{"CPU", "memory", "widget"};
constexpr std::array<const char*, 2> kDevices{"GPU", "NPU"};

struct ModelNode {
  std::map<std::string, int> scalars;
  std::map<std::string, std::vector<int>> devices;
};

struct ModelDemand {
  std::map<std::string, int> amounts;
};

// True when some set of devices, all of them tried, can hold `need`.
bool AnySetHolds(const std::vector<int>& shares, int need) {
  const auto sets = 1u << shares.size();
  for (unsigned set = 1; set < sets; ++set) {
    const int count = std::popcount(set);
    if (need <= kUnit ? count != 1 : count * kUnit != need) continue;
    bool holds = true;
    for (std::size_t i = 0; i < shares.size(); ++i) {
      if ((set >> i & 1u) != 0) holds = holds && shares[i] >= std::min(need, kUnit);
    }
    if (holds) return true;
  }
  return false;
}

bool Holds(const ModelNode& node, const ModelDemand& demand) {
  for (const auto& [name, need] : demand.amounts) {
    if (need == 0) continue;
    if (const auto devices = node.devices.find(name); devices != node.devices.end()) {
      if (!AnySetHolds(devices->second, need)) return false;
    } else if (const auto have = node.scalars.find(name);
               have == node.scalars.end() || have->second < need) {
      return false;
    }
  }
  return true;
}

ModelNode Emptied(ModelNode node, const ResourceSet& total) {
  for (auto& [name, have] : node.scalars) have = static_cast<int>(total.Get(name).raw());
  for (auto& [name, shares] : node.devices) shares.assign(shares.size(), kUnit);
  return node;
}

class World {
 public:
  explicit World(int nodes) {
    for (int i = 0; i < nodes; ++i) {
      ResourceSet total;
      ModelNode model;
      for (const char* name : kScalars) {
        const int units = *rc::gen::inRange(0, 4);
        total.Set(name, Quantity::Units(units));
        if (units > 0) model.scalars[name] = units * kUnit;
      }
      for (const char* name : kDevices) {
        const int units = *rc::gen::inRange(0, 5);
        total.Set(name, Quantity::Units(units));
        if (units > 0) model.devices[name].assign(static_cast<std::size_t>(units), kUnit);
      }
      const std::string id = "n" + std::to_string(i);
      cluster_.Join({.id = id, .name = id, .ip = "127.0.0.1", .total = total});
      models_.emplace(id, model);
    }
  }

  // One request: decides, checks the decision, takes it.
  void Ask(const ModelDemand& wanted, const Policy& policy) {
    Demand demand;
    for (const auto& [name, steps] : wanted.amounts) demand.amounts.Set(name, Quantity::Raw(steps));
    const Decision decision = Place(cluster_, demand, policy, state_);
    if (const auto* placed = std::get_if<Placed>(&decision)) {
      Charge(*placed, wanted);
    } else {
      CheckRefusal(std::get<Refused>(decision), wanted);
    }
  }

  // Gives back what was placed at `index`, if there is one.
  void Free(std::size_t index) {
    if (placed_.empty()) return;
    const auto it = placed_.begin() + static_cast<std::ptrdiff_t>(index % placed_.size());
    cluster_.Find(it->node)->resources.GiveBack(it->allocation);
    Apply(*it, +1);
    placed_.erase(it);
  }

 private:
  void Charge(const Placed& placed, const ModelDemand& wanted) {
    RC_ASSERT(Holds(models_.at(placed.node), wanted));  // no false fit
    cluster_.Find(placed.node)->resources.Take(placed.allocation);
    Apply(placed, -1);
    for (const auto& [name, shares] : models_.at(placed.node).devices) {
      for (const int share : shares) RC_ASSERT(share >= 0);  // no device given twice
    }
    placed_.push_back(placed);
  }

  void Apply(const Placed& placed, int sign) {
    ModelNode& model = models_.at(placed.node);
    for (const auto& [name, amount] : placed.allocation.amounts.amounts()) {
      if (const auto devices = placed.allocation.devices.find(name);
          devices != placed.allocation.devices.end()) {
        for (const auto& given : devices->second) {
          model.devices.at(name).at(given.device) += sign * static_cast<int>(given.share.raw());
        }
      } else {
        model.scalars.at(name) += sign * static_cast<int>(amount.raw());
      }
    }
  }

  void CheckRefusal(const Refused& refused, const ModelDemand& wanted) {
    bool ever = false;
    for (const auto& node : cluster_.nodes()) {
      const auto& spec = node.resources.spec();
      RC_ASSERT(!Holds(models_.at(spec.id), wanted));  // no missed fit
      ever = ever || Holds(Emptied(models_.at(spec.id), spec.total), wanted);
    }
    RC_ASSERT((refused.code == Refused::Code::kFitsLater) == ever);
    RC_ASSERT(refused.nodes.size() == cluster_.nodes().size());
    for (const NodeRefusal& one : refused.nodes) {
      const auto& spec = cluster_.Find(one.node)->resources.spec();
      RC_ASSERT(one.Later() == Holds(Emptied(models_.at(one.node), spec.total), wanted));
    }
  }

  Cluster cluster_;
  PlacementState state_;
  std::map<NodeId, ModelNode> models_;
  std::vector<Placed> placed_;
};

ModelDemand AnyDemand() {
  ModelDemand demand;
  for (const char* name : kScalars) {
    demand.amounts[name] = *rc::gen::weightedOneOf<int>(
        {{3, rc::gen::just(0)}, {2, rc::gen::inRange(1, 2 * kUnit)}, {1, rc::gen::just(kUnit)}});
  }
  for (const char* name : kDevices) {
    demand.amounts[name] = *rc::gen::weightedOneOf<int>({{3, rc::gen::just(0)},
                                                         {3, rc::gen::inRange(1, kUnit)},
                                                         {1, rc::gen::just(kUnit)},
                                                         {1, rc::gen::just(2 * kUnit)},
                                                         {1, rc::gen::just(3 * kUnit / 2)}});
  }
  return demand;
}

void Drive(const Policy& policy) {
  World world(*rc::gen::inRange(1, 5));
  const int steps = *rc::gen::inRange(1, 25);
  for (int i = 0; i < steps; ++i) {
    if (*rc::gen::inRange(0, 4) == 0) {
      world.Free(*rc::gen::inRange<std::size_t>(0, 100));
    } else {
      world.Ask(AnyDemand(), policy);
    }
  }
}

RC_GTEST_PROP(PlaceProperty, SpreadAgreesWithTheExhaustivePacker, ()) { Drive({}); }

RC_GTEST_PROP(PlaceProperty, PackAgreesWithTheExhaustivePacker, ()) {
  Drive({.strategy = Strategy::kPack});
}

// Same question, same answer, and the answer does not depend on where the cluster came from.
RC_GTEST_PROP(PlaceProperty, DecisionsRepeat, ()) {
  Cluster cluster;
  const int nodes = *rc::gen::inRange(1, 5);
  for (int i = 0; i < nodes; ++i) {
    const std::string id = std::to_string(i);
    cluster.Join({.id = id, .name = id, .ip = "", .total = {{"CPU", Quantity::Units(2)}}});
  }
  const Cluster copy = cluster;
  PlacementState a;
  PlacementState b;
  const Demand demand{.amounts = {{"CPU", Quantity::Raw(*rc::gen::inRange(1, 3 * kUnit))}}};
  const Decision first = Place(cluster, demand, {}, a);
  const Decision second = Place(copy, demand, {}, b);
  RC_ASSERT(first.index() == second.index());
  RC_ASSERT(a.last_node == b.last_node);
}

}  // namespace
}  // namespace penstock::placement
