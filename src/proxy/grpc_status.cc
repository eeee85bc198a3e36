#include "proxy/grpc_status.h"

#include <array>
#include <charconv>

namespace penstock::proxy {
namespace {

constexpr std::array<std::string_view, 17> kNames = {
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
};

constexpr std::size_t kMostDigits = 8;

// Seconds of a unit; zero for a letter that is none.
double UnitSeconds(char unit) {
  switch (unit) {
    case 'H':
      return 3600;
    case 'M':
      return 60;
    case 'S':
      return 1;
    case 'm':
      return 1e-3;
    case 'u':
      return 1e-6;
    case 'n':
      return 1e-9;
    default:
      return 0;
  }
}

}  // namespace

std::string_view GrpcCodeName(int code) {
  const bool known = code >= 0 && static_cast<std::size_t>(code) < kNames.size();
  return known ? kNames[static_cast<std::size_t>(code)] : "UNKNOWN";
}

std::optional<Duration> ParseGrpcTimeout(std::string_view text) {
  if (text.size() < 2 || text.size() > kMostDigits + 1) return std::nullopt;
  std::uint32_t amount = 0;
  const char* const unit = text.data() + text.size() - 1;
  const auto [end, error] = std::from_chars(text.data(), unit, amount);
  const double seconds = UnitSeconds(*unit);
  if (error != std::errc() || end != unit || seconds == 0) return std::nullopt;
  return FromSeconds(amount * seconds);
}

std::string EncodeGrpcMessage(std::string_view text) {
  constexpr std::string_view kHex = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte <= 0x7e && c != '%') {
      out += c;
    } else {
      out += '%';
      out += kHex[byte >> 4u];
      out += kHex[byte & 15u];
    }
  }
  return out;
}

}  // namespace penstock::proxy
