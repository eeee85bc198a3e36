#include "placement/place_group.h"

#include <algorithm>
#include <numeric>
#include <optional>
#include <utility>

namespace penstock::placement {
namespace {

using resources::Allocation;
using resources::Demand;

constexpr std::size_t kNone = static_cast<std::size_t>(-1);

// Nodes in the order in which they are tried. Spread begins behind the node that was chosen last,
// pack with the nodes in use.
std::vector<std::size_t> NodeOrder(const Cluster& cluster, const Policy& policy,
                                   const NodeId& last) {
  const auto& nodes = cluster.nodes();
  std::vector<std::size_t> order(nodes.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  if (policy.strategy == Strategy::kPack) {
    std::stable_partition(order.begin(), order.end(),
                          [&](std::size_t i) { return nodes[i].resources.allocations() > 0; });
    return order;
  }
  const auto found = std::find_if(order.begin(), order.end(), [&](std::size_t i) {
    return nodes[i].resources.spec().id == last;
  });
  if (found != order.end()) std::rotate(order.begin(), found + 1, order.end());
  return order;
}

bool Eligible(const ClusterNode& node, const Demand& bundle) {
  return node.alive && !node.draining &&
         bundle.selectors.front().FirstMismatch(node.resources.spec().labels) == nullptr;
}

std::optional<Allocation> Fit(const ClusterNode& node, const Demand& bundle) {
  if (!Eligible(node, bundle)) return std::nullopt;
  auto fit = node.resources.Fit(bundle.amounts);
  auto* allocation = std::get_if<Allocation>(&fit);
  return allocation == nullptr ? std::nullopt : std::optional(std::move(*allocation));
}

// One search for rooms, on nodes of its own.
class Search {
 public:
  Search(const Cluster& cluster, const GroupDemand& group, const Policy& policy,
         std::vector<std::size_t> nodes)
      : group_(group),
        cluster_(cluster.nodes()),
        nodes_(std::move(nodes)),
        used_(cluster_.size()),
        rooms_(group.bundles.size()) {
    largest_first_.resize(group.bundles.size());
    std::iota(largest_first_.begin(), largest_first_.end(), std::size_t{0});
    std::stable_sort(largest_first_.begin(), largest_first_.end(),
                     [&](std::size_t a, std::size_t b) {
                       return PlacesBefore(group.bundles[a], group.bundles[b], policy);
                     });
  }

  bool Run() {
    switch (group_.strategy) {
      case GroupStrategy::kStrictPack:
        return OnOneNode();
      case GroupStrategy::kPack:
        return OnOneNode() || Assign(0);
      case GroupStrategy::kSpread:
        return Assign(0);
      case GroupStrategy::kStrictSpread:
        break;
    }
    return OnANodeEach();
  }

  GroupPlaced Found() && {
    GroupPlaced placed;
    for (Room& room : rooms_) {
      placed.bundles.push_back(
          {cluster_[room.node].resources.spec().id, std::move(room.allocation)});
    }
    return placed;
  }

  // After a run that failed: the bundle that got no room when most had one, or the first.
  std::size_t stuck() const { return stuck_; }
  // How many had a room then.
  std::size_t most() const { return most_; }

 private:
  struct Room {
    std::size_t node = kNone;
    Allocation allocation;
  };

  bool Take(std::size_t bundle, std::size_t node) {
    auto allocation = Fit(cluster_[node], group_.bundles[bundle]);
    if (!allocation) return false;
    cluster_[node].resources.Take(*allocation);
    rooms_[bundle] = {node, *std::move(allocation)};
    ++used_[node];
    return true;
  }

  void GiveBack(std::size_t bundle) {
    Room& room = rooms_[bundle];
    cluster_[room.node].resources.GiveBack(room.allocation);
    --used_[room.node];
    room = {};
  }

  void NoteStuck(std::size_t placed, std::size_t bundle) {
    if (placed < most_ || (placed == most_ && stuck_ != kNone)) return;
    most_ = placed;
    stuck_ = bundle;
  }

  bool OnOneNode() {
    for (const std::size_t node : nodes_) {
      std::size_t placed = 0;
      while (placed < largest_first_.size() && Take(largest_first_[placed], node)) ++placed;
      if (placed == largest_first_.size()) return true;
      NoteStuck(placed, largest_first_[placed]);
      while (placed > 0) GiveBack(largest_first_[--placed]);
    }
    return false;
  }

  // Those that this group uses first (pack) or last (spread).
  std::vector<std::size_t> NodesNow() const {
    std::vector<std::size_t> nodes = nodes_;
    std::stable_sort(nodes.begin(), nodes.end(), [&](std::size_t a, std::size_t b) {
      return group_.strategy == GroupStrategy::kSpread ? used_[a] < used_[b] : used_[a] > used_[b];
    });
    return nodes;
  }

  // The bundles from `at` on: the first way that is found.
  bool Assign(std::size_t at) {
    if (at == largest_first_.size()) return true;
    const std::size_t bundle = largest_first_[at];
    for (const std::size_t node : NodesNow()) {
      if (++trials_ > kMostTrials) return false;
      if (!Take(bundle, node)) continue;
      if (Assign(at + 1)) return true;
      GiveBack(bundle);
    }
    NoteStuck(at, bundle);
    return false;
  }

  // A bundle to each node is a matching: bundles push each other on until all have a node.
  bool OnANodeEach() {
    std::vector<std::size_t> holder(cluster_.size(), kNone);
    for (std::size_t i = 0; i < largest_first_.size(); ++i) {
      std::vector<bool> tried(cluster_.size());
      if (Push(largest_first_[i], holder, tried)) continue;
      NoteStuck(i, largest_first_[i]);
      return false;
    }
    for (const std::size_t node : nodes_) {
      if (holder[node] != kNone) Take(holder[node], node);
    }
    return true;
  }

  bool Push(std::size_t bundle, std::vector<std::size_t>& holder, std::vector<bool>& tried) {
    for (const std::size_t node : nodes_) {
      if (tried[node] || !Fit(cluster_[node], group_.bundles[bundle])) continue;
      tried[node] = true;
      if (holder[node] != kNone && !Push(holder[node], holder, tried)) continue;
      holder[node] = bundle;
      return true;
    }
    return false;
  }

  const GroupDemand& group_;
  std::vector<ClusterNode> cluster_;  // by value: what is tried is taken here
  std::vector<std::size_t> nodes_;    // in the order in which they are tried
  std::vector<int> used_;             // bundles of this group, by node
  std::vector<Room> rooms_;           // by bundle
  std::vector<std::size_t> largest_first_;
  std::size_t stuck_ = kNone;
  std::size_t most_ = 0;
  int trials_ = 0;
};

Cluster Emptied(const Cluster& cluster) {
  Cluster empty;
  for (const ClusterNode& node : cluster.nodes()) {
    if (!node.alive) continue;
    empty.Join(node.resources.spec());
    empty.Find(node.resources.spec().id)->draining = node.draining;
  }
  return empty;
}

std::string ListOf(const GroupDemand& group) {
  std::string text;
  for (const Demand& bundle : group.bundles) {
    text += (text.empty() ? "" : ", ") + bundle.amounts.ToString();
  }
  return "[" + text + "]";
}

GroupRefused Refuse(const Cluster& cluster, const GroupDemand& group, const Policy& policy,
                    const Search& search) {
  GroupRefused refused;
  const Cluster empty = Emptied(cluster);
  const bool ever = Search(empty, group, policy, NodeOrder(empty, policy, "")).Run();
  refused.code = ever ? Refused::Code::kFitsLater : Refused::Code::kNeverFits;
  const std::size_t bundle = search.stuck() == kNone ? 0 : search.stuck();
  const Demand& stuck = group.bundles[bundle];
  refused.why = std::string(Name(group.strategy)) + " " + ListOf(group) + ": at most " +
                std::to_string(search.most()) + " of " + std::to_string(group.bundles.size()) +
                " bundles have room at once; then bundle " + std::to_string(bundle) + " " +
                stuck.amounts.ToString() + " has none";
  // Alone it may have room: then it is the others that are in its way.
  PlacementState unused;
  const Decision alone = Place(cluster, stuck, policy, unused);
  if (const auto* none = std::get_if<Refused>(&alone)) {
    const std::string text = none->Text();
    refused.why += text.substr(text.find(':'));
  }
  return refused;
}

}  // namespace

const char* GroupRefused::CodeText() const {
  return code == Refused::Code::kNeverFits ? kNeverFits : kFitsLater;
}

std::string GroupRefused::Text() const { return std::string(CodeText()) + ": " + why; }

GroupDecision PlaceGroup(const Cluster& cluster, const GroupDemand& group, const Policy& policy,
                         PlacementState& state) {
  Search search(cluster, group, policy, NodeOrder(cluster, policy, state.last_node));
  if (!search.Run()) return Refuse(cluster, group, policy, search);
  GroupPlaced placed = std::move(search).Found();
  state.last_node = placed.bundles.back().node;
  return placed;
}

const char* Name(GroupStrategy strategy) {
  switch (strategy) {
    case GroupStrategy::kPack:
      return "PACK";
    case GroupStrategy::kSpread:
      return "SPREAD";
    case GroupStrategy::kStrictPack:
      return "STRICT_PACK";
    case GroupStrategy::kStrictSpread:
      break;
  }
  return "STRICT_SPREAD";
}

}  // namespace penstock::placement
