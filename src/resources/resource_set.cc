#include "resources/resource_set.h"

#include "penstock/check.h"

namespace penstock::resources {

ResourceSet::ResourceSet(std::initializer_list<std::pair<std::string_view, Quantity>> amounts) {
  for (const auto& [name, amount] : amounts) Set(name, amount);
}

void ResourceSet::Set(std::string_view name, Quantity amount) {
  const auto it = amounts_.find(name);
  if (amount == Quantity()) {
    if (it != amounts_.end()) amounts_.erase(it);
  } else if (it != amounts_.end()) {
    it->second = amount;
  } else {
    amounts_.emplace(name, amount);
  }
}

Quantity ResourceSet::Get(std::string_view name) const {
  const auto it = amounts_.find(name);
  return it == amounts_.end() ? Quantity() : it->second;
}

std::optional<std::string> ResourceSet::FirstShortage(const ResourceSet& want) const {
  for (const auto& [name, amount] : want.amounts_) {
    if (amount > Get(name)) return name;
  }
  return std::nullopt;
}

void ResourceSet::Subtract(const ResourceSet& want) {
  PENSTOCK_CHECK(!FirstShortage(want));
  for (const auto& [name, amount] : want.amounts_) Set(name, Get(name) - amount);
}

void ResourceSet::Add(const ResourceSet& other) {
  for (const auto& [name, amount] : other.amounts_) Set(name, Get(name) + amount);
}

std::string ResourceSet::ToString() const {
  std::string text = "{";
  for (const auto& [name, amount] : amounts_) {
    if (text.size() > 1) text += ", ";
    text += '"' + name + "\": " + amount.ToString() + (amount.IsWhole() ? ".0" : "");
  }
  return text + "}";
}

}  // namespace penstock::resources
