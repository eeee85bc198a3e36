// Status codes of gRPC, and the two headers that need a grammar: grpc-timeout and grpc-message.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "penstock/units.h"

namespace penstock::proxy {

// Values are the wire's.
enum class GrpcCode {
  kOk = 0,
  kCancelled = 1,
  kUnknown = 2,
  kInvalidArgument = 3,
  kDeadlineExceeded = 4,
  kNotFound = 5,
  kResourceExhausted = 8,
  kUnimplemented = 12,
  kInternal = 13,
  kUnavailable = 14,
};

// "OK", "NOT_FOUND"; "UNKNOWN" for a number that is no code.
std::string_view GrpcCodeName(int code);

// The value of grpc-timeout: up to eight digits and a unit. nullopt when it is malformed.
std::optional<Duration> ParseGrpcTimeout(std::string_view text);

// The value of grpc-message: bytes that are not printable ASCII, and '%', become %XX.
std::string EncodeGrpcMessage(std::string_view text);

}  // namespace penstock::proxy
