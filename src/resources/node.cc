#include "resources/node.h"

#include <algorithm>
#include <cmath>

#include "penstock/check.h"
#include "resources/demand.h"
#include "resources/families.h"

namespace penstock::resources {
namespace {

bool IsImplicit(std::string_view resource) { return resource.starts_with(kImplicitPrefix); }

std::size_t WhollyFree(const std::vector<Quantity>& shares) {
  return static_cast<std::size_t>(std::count(shares.begin(), shares.end(), kOneUnit));
}

}  // namespace

Status CheckNodeTotals(const std::map<std::string, double>& totals) {
  for (const auto& [name, amount] : totals) {
    if (!std::isfinite(amount) || amount != std::trunc(amount)) {
      return InvalidArgument(
          "Resource quantities must all be whole numbers. Violated by resource '" + name + "'.");
    }
    if (amount < 0) {
      return InvalidArgument("Resource quantities must be nonnegative. Violated by resource '" +
                             name + "'.");
    }
    if (amount > static_cast<double>(Quantity::kMaxUnits)) {
      return InvalidArgument("Resource quantities must be at most " +
                             std::to_string(Quantity::kMaxUnits) + ". Violated by resource '" +
                             name + "'.");
    }
    if (name.starts_with("node:__internal_")) {
      return InvalidArgument("Resource '" + name + "' is reserved.");
    }
  }
  return {};
}

Allocation PartOf(const Allocation& whole, const ResourceSet& amounts) {
  Allocation part{.amounts = amounts};
  for (const auto& [name, amount] : amounts.amounts()) {
    PENSTOCK_CHECK(amount <= whole.amounts.Get(name));
    const auto devices = whole.devices.find(name);
    if (devices == whole.devices.end()) continue;
    Quantity left = amount;
    for (const DeviceShare& share : devices->second) {
      if (left == Quantity()) break;
      const Quantity taken = std::min(left, share.share);
      part.devices[name].push_back({share.device, taken});
      left -= taken;
    }
  }
  return part;
}

NodeResources::NodeResources(NodeSpec spec) : spec_(std::move(spec)) {
  for (const auto& [name, amount] : spec_.total.amounts()) {
    if (IsDeviceResource(name)) {
      shares_[name].assign(static_cast<std::size_t>(amount.Floor()), kOneUnit);
    } else {
      free_.Set(name, amount);
    }
  }
}

std::optional<std::vector<DeviceShare>> NodeResources::FitDevices(std::string_view resource,
                                                                  Quantity need) const {
  const std::vector<Quantity>& shares = FreeShares(resource);
  std::vector<DeviceShare> given;
  if (need < kOneUnit) {
    std::optional<std::size_t> best;
    for (std::size_t i = 0; i < shares.size(); ++i) {
      if (shares[i] >= need && (!best || shares[i] < shares[*best])) best = i;
    }
    if (!best) return std::nullopt;
    given.push_back({*best, need});
    return given;
  }
  for (std::size_t i = 0;
       i < shares.size() && Quantity::Units(static_cast<std::int64_t>(given.size())) < need; ++i) {
    if (shares[i] == kOneUnit) given.push_back({i, kOneUnit});
  }
  if (Quantity::Units(static_cast<std::int64_t>(given.size())) != need) return std::nullopt;
  return given;
}

std::variant<Allocation, Shortage> NodeResources::Fit(const ResourceSet& demand) const {
  Allocation allocation{.amounts = demand};
  for (const auto& [name, need] : demand.amounts()) {
    if (IsDeviceResource(name)) {
      auto given = FitDevices(name, need);
      if (!given) return Explain(name, need);
      allocation.devices.emplace(name, *std::move(given));
    } else if (Free(name) < need) {
      return Explain(name, need);
    }
  }
  return allocation;
}

Shortage NodeResources::Explain(std::string_view resource, Quantity need) const {
  Shortage shortage{.resource = std::string(resource),
                    .need = need,
                    .total = Total(resource),
                    .free = Free(resource)};
  if (ImpossibleDeviceAmount(resource, need)) {
    shortage.kind = Shortage::Kind::kImpossible;
  } else if (need > shortage.total) {
    shortage.kind = Shortage::Kind::kNever;
  }
  if (IsDeviceResource(resource)) {
    const auto& shares = FreeShares(resource);
    if (need >= kOneUnit) {
      shortage.usable = Quantity::Units(static_cast<std::int64_t>(WhollyFree(shares)));
    } else {
      const auto most = std::max_element(shares.begin(), shares.end());
      shortage.usable = most == shares.end() ? Quantity() : *most;
    }
  }
  return shortage;
}

bool NodeResources::CouldEverFit(const ResourceSet& demand) const {
  return std::holds_alternative<Allocation>(NodeResources(spec_).Fit(demand));
}

bool NodeResources::Holds(const Allocation& allocation) const {
  for (const auto& [name, amount] : allocation.amounts.amounts()) {
    const auto devices = allocation.devices.find(name);
    if (devices == allocation.devices.end()) {
      const Quantity free = IsImplicit(name) ? Free(name) : free_.Get(name);
      if (amount > free) return false;
      continue;
    }
    auto shares = FreeShares(name);  // a device may be in it twice
    for (const DeviceShare& given : devices->second) {
      const bool fits = given.device < shares.size() && given.share > Quantity() &&
                        given.share <= shares[given.device];
      if (!fits) return false;
      shares[given.device] -= given.share;
    }
  }
  return true;
}

void NodeResources::Take(const Allocation& allocation) {
  PENSTOCK_CHECK(Holds(allocation));
  for (const auto& [name, amount] : allocation.amounts.amounts()) {
    if (const auto devices = allocation.devices.find(name); devices != allocation.devices.end()) {
      auto& shares = shares_[name];
      for (const DeviceShare& given : devices->second) shares[given.device] -= given.share;
    } else if (IsImplicit(name)) {
      implicit_.Set(name, implicit_.Get(name) + amount);
    } else {
      free_.Subtract({{name, amount}});
    }
  }
  ++allocations_;
}

void NodeResources::GiveBack(const Allocation& allocation) {
  for (const auto& [name, amount] : allocation.amounts.amounts()) {
    if (const auto devices = allocation.devices.find(name); devices != allocation.devices.end()) {
      auto& shares = shares_[name];
      for (const DeviceShare& given : devices->second) {
        shares[given.device] += given.share;
        PENSTOCK_CHECK(shares[given.device] <= kOneUnit);
      }
    } else if (IsImplicit(name)) {
      implicit_.Subtract({{name, amount}});
    } else {
      free_.Add({{name, amount}});
      PENSTOCK_CHECK(free_.Get(name) <= spec_.total.Get(name));
    }
  }
  --allocations_;
}

Quantity NodeResources::Free(std::string_view resource) const {
  if (IsImplicit(resource)) return kOneUnit - implicit_.Get(resource);
  if (!IsDeviceResource(resource)) return free_.Get(resource);
  Quantity sum;
  for (const Quantity share : FreeShares(resource)) sum += share;
  return sum;
}

Quantity NodeResources::Total(std::string_view resource) const {
  return IsImplicit(resource) ? kOneUnit : spec_.total.Get(resource);
}

ResourceSet NodeResources::FreeAmounts() const {
  ResourceSet all;
  for (const auto& [name, amount] : spec_.total.amounts()) all.Set(name, Free(name));
  return all;
}

const std::vector<Quantity>& NodeResources::FreeShares(std::string_view resource) const {
  static const std::vector<Quantity> kNone;
  const auto it = shares_.find(resource);
  return it == shares_.end() ? kNone : it->second;
}

}  // namespace penstock::resources
