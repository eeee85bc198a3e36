// What one node has and what is left of it, device by device.
//
// Value type; const methods from any number of threads, writers alone.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "penstock/ids.h"
#include "penstock/status.h"
#include "resources/labels.h"
#include "resources/resource_set.h"

namespace penstock::resources {

// A part of one device.
struct DeviceShare {
  std::size_t device = 0;  // index on its node
  Quantity share;          // in (0, 1]
  friend bool operator==(const DeviceShare&, const DeviceShare&) = default;
};

// What a replica was given on a node. Taken and given back as a whole.
struct Allocation {
  ResourceSet amounts;  // everything, devices included: what was asked for
  std::map<std::string, std::vector<DeviceShare>, std::less<>> devices;  // by resource name
  friend bool operator==(const Allocation&, const Allocation&) = default;
};

// A part of a node that is somebody's.
struct Reservation {
  NodeId node;
  Allocation allocation;
  friend bool operator==(const Reservation&, const Reservation&) = default;
};

// The part of `whole` that `amounts` describes: of its devices the first. Pre: `whole` holds as
// much of everything (checked).
Allocation PartOf(const Allocation& whole, const ResourceSet& amounts);

// Why a demand does not fit a node: the first resource, by name, that is short.
struct Shortage {
  enum class Kind {
    kImpossible,  // no node of any size could: an amount that devices are not given out in
    kNever,       // more than the node has when it is empty
    kLater,       // more than is free now
  };
  Kind kind = Kind::kLater;
  std::string resource;
  Quantity need;
  Quantity total;  // on the node
  Quantity free;   // on the node, summed over its devices
  // Device resources only: the largest free share of one device when a fraction is asked for,
  // else the number of devices that are wholly free.
  std::optional<Quantity> usable;
};

// What a node declares when it joins.
struct NodeSpec {
  NodeId id;
  std::string name;  // for people: "head", "node-2"
  std::string ip;    // address that identifies it
  bool is_head = false;
  ResourceSet total;  // whole amounts
  Labels labels;
  // Visible id of each device, by resource: what goes into the visible-device variable. Without
  // an entry the ids are the indices.
  std::map<std::string, std::vector<std::string>, std::less<>> device_ids;
  std::string gpu_vendor;  // family of the GPUs, "" for the default
};

// Node totals must be whole numbers, not negative and at most 1e14. kInvalidArgument with Ray's
// message. Names starting with "node:__internal_" are the engine's own.
Status CheckNodeTotals(const std::map<std::string, double>& totals);

class NodeResources {
 public:
  // Everything free.
  explicit NodeResources(NodeSpec spec);

  // What it declared.
  const NodeSpec& spec() const { return spec_; }

  // What `demand` would be given here now, or the first thing that is short. Devices: whole
  // ones are the lowest-numbered that are wholly free; a fraction goes to the device that it
  // leaves the least of, the lowest-numbered on a tie (behaviour specification, 3.6).
  std::variant<Allocation, Shortage> Fit(const ResourceSet& demand) const;

  // True when an empty node of this size would hold `demand`.
  bool CouldEverFit(const ResourceSet& demand) const;

  // True when every amount and share of it is free.
  bool Holds(const Allocation& allocation) const;

  // Pre: Holds(allocation) (checked; a breach aborts).
  void Take(const Allocation& allocation);

  // Inverse of Take. Pre: it was taken and not yet given back (checked).
  void GiveBack(const Allocation& allocation);

  // Free amount, summed over devices where the resource has them.
  Quantity Free(std::string_view resource) const;

  // Total amount; an implicit resource has one unit everywhere.
  Quantity Total(std::string_view resource) const;

  // Everything free, summed.
  ResourceSet FreeAmounts() const;

  // Free share of each device of `resource`; empty when it has none.
  const std::vector<Quantity>& FreeShares(std::string_view resource) const;

  // How many allocations are taken now.
  int allocations() const { return allocations_; }

 private:
  std::optional<std::vector<DeviceShare>> FitDevices(std::string_view resource,
                                                     Quantity need) const;
  Shortage Explain(std::string_view resource, Quantity need) const;

  NodeSpec spec_;
  ResourceSet free_;      // resources given out from a sum
  ResourceSet implicit_;  // taken of implicit resources, each of which has one unit
  std::map<std::string, std::vector<Quantity>, std::less<>> shares_;
  int allocations_ = 0;
};

}  // namespace penstock::resources
