// Amounts: from a double to steps of 1e-4 and back.
#include "penstock/quantity.h"

#include <cmath>
#include <cstring>
#include <string>

#include "support/fuzz.h"

PENSTOCK_FUZZ(input) {
  using penstock::Quantity;
  double amount = 0;
  const auto bytes = input.Take(sizeof amount);
  std::memcpy(&amount, bytes.data(), bytes.size());
  const auto quantity = Quantity::FromDouble(amount);
  const double limit = static_cast<double>(Quantity::kMaxUnits);
  PENSTOCK_CHECK(quantity.ok() == (std::isfinite(amount) && std::abs(amount) <= limit));
  if (!quantity.ok()) return;
  const auto raw = quantity->raw();
  // Toward zero, by less than a step. (A double of 1e14 has a step of 1/64.)
  const double step = 1.0 / static_cast<double>(Quantity::kScale);
  PENSTOCK_CHECK(std::abs(quantity->ToDouble() - amount) <= step + std::abs(amount) * 1e-15);
  PENSTOCK_CHECK(raw == 0 || (raw > 0) == (amount > 0));
  PENSTOCK_CHECK(std::abs(quantity->ToDouble()) <= std::abs(amount) * (1 + 1e-15));
  PENSTOCK_CHECK(Quantity::FromDouble(-amount)->raw() == -raw);
  PENSTOCK_CHECK(quantity->Floor() * Quantity::kScale <= raw);
  PENSTOCK_CHECK((quantity->Floor() + 1) * Quantity::kScale > raw);
  const std::string text = quantity->ToString();
  PENSTOCK_CHECK(quantity->IsWhole() == (text.find('.') == std::string::npos));
  // Both ways back lead to the same amount, as long as a double can tell its steps apart.
  if (std::abs(raw) >= 1'000'000'000'000'000) return;
  PENSTOCK_CHECK(std::stod(text) == quantity->ToDouble());
  PENSTOCK_CHECK(*Quantity::FromDouble(quantity->ToDouble()) == *quantity);
}
