#include "placement/place.h"

#include <algorithm>
#include <compare>
#include <optional>
#include <set>
#include <utility>

namespace penstock::placement {
namespace {

using resources::Allocation;
using resources::Demand;
using resources::LabelSelector;

using resources::ResourceSet;
using resources::Shortage;

struct Candidate {
  std::size_t node;
  Allocation allocation;
};

bool Eligible(const ClusterNode& node, const LabelSelector& selector) {
  return node.alive && !node.draining &&
         selector.FirstMismatch(node.resources.spec().labels) == nullptr;
}

// Every node that has room now, in the order in which they joined.
std::vector<Candidate> Candidates(const Cluster& cluster, const ResourceSet& amounts,
                                  const LabelSelector& selector) {
  std::vector<Candidate> candidates;
  for (std::size_t i = 0; i < cluster.nodes().size(); ++i) {
    const ClusterNode& node = cluster.nodes()[i];
    if (!Eligible(node, selector)) continue;
    auto fit = node.resources.Fit(amounts);
    if (auto* allocation = std::get_if<Allocation>(&fit)) {
      candidates.push_back({i, std::move(*allocation)});
    }
  }
  return candidates;
}

// The first candidate after the node that was chosen last.
std::size_t PickSpread(const Cluster& cluster, const std::vector<Candidate>& candidates,
                       const NodeId& last) {
  const auto& nodes = cluster.nodes();
  const auto found = std::find_if(nodes.begin(), nodes.end(), [&](const ClusterNode& node) {
    return node.resources.spec().id == last;
  });
  const auto after = found == nodes.end() ? 0 : static_cast<std::size_t>(found - nodes.begin()) + 1;
  for (std::size_t i = 0; i < candidates.size(); ++i) {
    if (candidates[i].node >= after) return i;
  }
  return 0;
}

// Names in the order in which pack compares them: the high-priority ones, GPU, CPU, memory, and
// whatever else occurs, by name.
std::vector<std::string> ComparisonOrder(const Policy& policy, const ResourceSet& a,
                                         const ResourceSet& b) {
  std::vector<std::string> order = policy.high_priority_resources;
  for (const auto name : {resources::kGpu, resources::kCpu, resources::kMemory}) {
    order.emplace_back(name);
  }
  std::set<std::string, std::less<>> rest;
  for (const ResourceSet* set : {&a, &b}) {
    for (const auto& [name, amount] : set->amounts()) rest.insert(name);
  }
  for (const std::string& name : order) rest.erase(name);
  order.insert(order.end(), rest.begin(), rest.end());
  return order;
}

std::strong_ordering Compare(const Policy& policy, const ResourceSet& a, const ResourceSet& b) {
  for (const std::string& name : ComparisonOrder(policy, a, b)) {
    if (const auto order = a.Get(name) <=> b.Get(name); std::is_neq(order)) return order;
  }
  return std::strong_ordering::equal;
}

// Best fit: nodes in use before idle ones, then the least left over, then the order of joining.
std::size_t PickPack(const Cluster& cluster, const std::vector<Candidate>& candidates,
                     const Policy& policy) {
  const auto idle = [&](const Candidate& c) {
    return cluster.nodes()[c.node].resources.allocations() == 0;
  };
  const auto left = [&](const Candidate& c) {
    ResourceSet rest = cluster.nodes()[c.node].resources.FreeAmounts();
    for (const auto& [name, amount] : c.allocation.amounts.amounts()) {
      rest.Set(name, rest.Get(name) - amount);
    }
    return rest;
  };
  std::size_t best = 0;
  for (std::size_t i = 1; i < candidates.size(); ++i) {
    if (idle(candidates[i]) != idle(candidates[best])) {
      if (idle(candidates[best])) best = i;
    } else if (std::is_lt(Compare(policy, left(candidates[i]), left(candidates[best])))) {
      best = i;
    }
  }
  return best;
}

// The selector that comes nearest to matching is the one worth naming: the first.
NodeRefusal RefusalOf(const ClusterNode& node, const Demand& demand) {
  const auto& spec = node.resources.spec();
  NodeRefusal refusal{.node = spec.id, .node_name = spec.name};
  if (!node.alive) {
    refusal.reason = NodeRefusal::Reason::kDead;
    return refusal;
  }
  if (node.draining) {
    refusal.reason = NodeRefusal::Reason::kDraining;
    return refusal;
  }
  const bool matches = std::any_of(demand.selectors.begin(), demand.selectors.end(),
                                   [&](const LabelSelector& selector) {
                                     return selector.FirstMismatch(spec.labels) == nullptr;
                                   });
  if (!matches) {
    const auto* term = demand.selectors.front().FirstMismatch(spec.labels);
    refusal.reason = NodeRefusal::Reason::kLabel;
    refusal.label = term->key + "=" + term->text;
    return refusal;
  }
  const auto fit = node.resources.Fit(demand.amounts);
  refusal.shortage = std::get<Shortage>(fit);
  // The first shortage by name may pass with time while another never does; the node's verdict
  // is that of the worst.
  if (refusal.shortage.kind == Shortage::Kind::kLater &&
      !node.resources.CouldEverFit(demand.amounts)) {
    const resources::NodeResources empty(spec);
    refusal.shortage = std::get<Shortage>(empty.Fit(demand.amounts));
  }
  return refusal;
}

// How far a node is from taking the replica; smaller is nearer. Reasons that time heals come
// before those that it does not, then the missing part of what was asked for.
std::pair<int, double> Distance(const NodeRefusal& refusal) {
  if (refusal.reason != NodeRefusal::Reason::kResource) {
    return {refusal.Later() ? 1 : 3, 0.0};
  }
  const Shortage& shortage = refusal.shortage;
  const Quantity have = shortage.usable.value_or(shortage.free);
  const double missing =
      (shortage.need - std::min(have, shortage.need)).ToDouble() / shortage.need.ToDouble();
  return {refusal.Later() ? 0 : 2, missing};
}

Refused Refuse(const Cluster& cluster, const Demand& demand) {
  Refused refused;
  for (const ClusterNode& node : cluster.nodes()) {
    refused.nodes.push_back(RefusalOf(node, demand));
    const NodeRefusal& latest = refused.nodes.back();
    if (latest.Later()) refused.code = Refused::Code::kFitsLater;
    if (refused.nearest < 0 ||
        Distance(latest) < Distance(refused.nodes[static_cast<std::size_t>(refused.nearest)])) {
      refused.nearest = static_cast<int>(refused.nodes.size()) - 1;
    }
  }
  return refused;
}

std::string ShortageText(const Shortage& shortage) {
  const std::string need = shortage.need.ToString() + " " + shortage.resource;
  switch (shortage.kind) {
    case Shortage::Kind::kImpossible:
      return shortage.resource + " resource quantities >1 must be whole numbers. The specified " +
             "quantity " + shortage.need.ToString() + " is invalid.";
    case Shortage::Kind::kNever:
      return "needs " + need + ", has " + shortage.total.ToString();
    case Shortage::Kind::kLater:
      break;
  }
  std::string text = "needs " + need + ", " + shortage.free.ToString() + " of " +
                     shortage.total.ToString() + " free";
  if (!shortage.usable) return text;
  if (shortage.need >= kOneUnit) {
    return text + ", " + shortage.usable->ToString() + " of them whole";
  }
  return text + ", at most " + shortage.usable->ToString() + " on one device";
}

}  // namespace

std::string NodeRefusal::Text() const {
  switch (reason) {
    case Reason::kDead:
      return "is dead";
    case Reason::kDraining:
      return "is draining";
    case Reason::kLabel:
      return "label selector " + label + " does not match";
    case Reason::kResource:
      break;
  }
  return ShortageText(shortage);
}

bool NodeRefusal::Later() const {
  if (reason == Reason::kResource) return shortage.kind == Shortage::Kind::kLater;
  return false;
}

const char* Refused::CodeText() const { return code == Code::kNeverFits ? kNeverFits : kFitsLater; }

std::string Refused::Text() const {
  std::string text = CodeText();
  if (nodes.empty()) return text + ": there is no node";
  const NodeRefusal& near = nodes[static_cast<std::size_t>(nearest)];
  text += ": nearest is node '" + near.node_name + "': " + near.Text();
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    if (static_cast<int>(i) == nearest) continue;
    text += "; node '" + nodes[i].node_name + "': " + nodes[i].Text();
  }
  return text;
}

std::optional<Allocation> RoomOn(const ClusterNode& node, const Demand& demand) {
  const bool eligible =
      std::any_of(demand.selectors.begin(), demand.selectors.end(),
                  [&](const LabelSelector& selector) { return Eligible(node, selector); });
  if (!eligible) return std::nullopt;
  auto fit = node.resources.Fit(demand.amounts);
  auto* allocation = std::get_if<Allocation>(&fit);
  return allocation == nullptr ? std::nullopt : std::optional(std::move(*allocation));
}

Decision Place(const Cluster& cluster, const Demand& demand, const Policy& policy,
               PlacementState& state) {
  for (const LabelSelector& selector : demand.selectors) {
    auto candidates = Candidates(cluster, demand.amounts, selector);
    if (candidates.empty()) continue;
    const std::size_t pick = policy.strategy == Strategy::kPack
                                 ? PickPack(cluster, candidates, policy)
                                 : PickSpread(cluster, candidates, state.last_node);
    const NodeId node = cluster.nodes()[candidates[pick].node].resources.spec().id;
    state.last_node = node;
    return Placed{node, std::move(candidates[pick].allocation)};
  }
  return Refuse(cluster, demand);
}

bool PlacesBefore(const Demand& a, const Demand& b, const Policy& policy) {
  return std::is_gt(Compare(policy, a.amounts, b.amounts));
}

}  // namespace penstock::placement
