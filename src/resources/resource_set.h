// A bag of named resource amounts: what a replica asks for, or what a node has.
//
// Value type: copyable, comparable, no I/O, no clock. Const methods may be called from any
// number of threads at once; a writer needs exclusive access.
#pragma once

#include <initializer_list>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "penstock/quantity.h"

namespace penstock::resources {

// Names with a meaning of their own.
inline constexpr std::string_view kCpu = "CPU";
inline constexpr std::string_view kGpu = "GPU";
inline constexpr std::string_view kMemory = "memory";                          // bytes
inline constexpr std::string_view kObjectStoreMemory = "object_store_memory";  // bytes

class ResourceSet {
 public:
  // Ordered by name: placement must be repeatable.
  using Amounts = std::map<std::string, Quantity, std::less<>>;

  ResourceSet() = default;
  ResourceSet(std::initializer_list<std::pair<std::string_view, Quantity>> amounts);

  // Units: "CPU" and "GPU" in devices (may be fractional), "memory" and
  // "object_store_memory" in bytes, custom names in whatever their node declared.
  // An amount of zero is stored as absence, so two equal sets compare equal.
  void Set(std::string_view name, Quantity amount);

  // Zero when the name is absent; never fails.
  Quantity Get(std::string_view name) const;

  // The first name, in alphabetical order, of which `want` asks for more than *this holds;
  // nullopt when all of it fits. Callers show the name to the user: it is the reason.
  std::optional<std::string> FirstShortage(const ResourceSet& want) const;

  // Pre: FirstShortage(want) == nullopt (checked in every build; a breach aborts, because it
  // would hand one share to two replicas). Post: Get(n) decreased by want.Get(n), every n.
  void Subtract(const ResourceSet& want);

  // Inverse of Subtract; a total function, it cannot fail.
  void Add(const ResourceSet& other);

  // Every name with an amount other than zero.
  const Amounts& amounts() const { return amounts_; }

  // True when nothing is in it.
  bool empty() const { return amounts_.empty(); }

  // Ray's spelling of what people read: {"CPU": 1.0, "GPU": 0.5}.
  std::string ToString() const;

  friend bool operator==(const ResourceSet&, const ResourceSet&) = default;

 private:
  Amounts amounts_;
};

}  // namespace penstock::resources
