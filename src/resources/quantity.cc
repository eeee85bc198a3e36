#include "penstock/quantity.h"

#include <array>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <string_view>

namespace penstock {
namespace {

constexpr int kDecimals = 4;

// "12.34567" -> 123456; the text has no exponent and no sign.
std::int64_t StepsOfDecimal(std::string_view text) {
  std::int64_t steps = 0;
  int decimals = -1;  // before the point
  for (const char c : text) {
    if (c == '.') {
      decimals = 0;
      continue;
    }
    if (decimals == kDecimals) break;
    steps = steps * 10 + (c - '0');
    if (decimals >= 0) ++decimals;
  }
  for (int d = decimals < 0 ? 0 : decimals; d < kDecimals; ++d) steps *= 10;
  return steps;
}

}  // namespace

Result<Quantity> Quantity::FromDouble(double amount) {
  if (!std::isfinite(amount)) return InvalidArgument("an amount must be a finite number");
  if (std::abs(amount) > static_cast<double>(kMaxUnits)) {
    return InvalidArgument("an amount cannot be larger than " + std::to_string(kMaxUnits));
  }
  // The shortest text that reads back as `amount` is what the user wrote; truncating the binary
  // value instead loses a step for every eighteenth four-decimal number (0.0003 -> 0.0002).
  std::array<char, 400> text{};
  const auto end = std::to_chars(text.data(), text.data() + text.size(), std::abs(amount),
                                 std::chars_format::fixed);
  const std::int64_t steps =
      StepsOfDecimal({text.data(), static_cast<std::size_t>(end.ptr - text.data())});
  return Raw(amount < 0 ? -steps : steps);
}

std::string Quantity::ToString() const {
  const std::int64_t magnitude = std::abs(steps_);
  std::string text = std::to_string(magnitude / kScale);
  if (const std::int64_t fraction = magnitude % kScale; fraction != 0) {
    std::string digits = std::to_string(kScale + fraction).substr(1);
    digits.erase(digits.find_last_not_of('0') + 1);
    text += "." + digits;
  }
  return steps_ < 0 ? "-" + text : text;
}

}  // namespace penstock
