// `grpc_options`: whether and how the proxy serves gRPC (behaviour specification, 1.10 and 6.5).
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "penstock/status.h"

namespace penstock::config {

struct GrpcOptions {
  int port = 9000;
  std::vector<std::string> servicer_functions;  // import paths of add_...Servicer_to_server
  std::optional<double> request_timeout_s;      // <= 0 or absent: none
  bool enable_reflection = true;
  std::string directory;  // SHA-256 of the file that lists the methods; made from the functions

  // Nothing listens without a port and something to serve.
  bool enabled() const { return port > 0 && !servicer_functions.empty(); }

  friend bool operator==(const GrpcOptions&, const GrpcOptions&) = default;
};

// Unknown fields are ignored, as Ray Serve does. kInvalidArgument naming the field.
Result<GrpcOptions> ParseGrpcOptions(const nlohmann::json& options);

}  // namespace penstock::config
