// `http_options`: where and how the proxy listens (behaviour specification, 1.10).
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "penstock/status.h"

namespace penstock::config {

struct HttpOptions {
  std::string host = "127.0.0.1";
  int port = 8000;                          // 0: one that is free
  std::string root_path;                    // prefix that a gateway in front strips; "" for none
  std::optional<double> request_timeout_s;  // <= 0 or absent: none
  double keep_alive_timeout_s = 90;         // > 0; idle connections are closed after it
  bool enabled = true;                      // false when host is None

  friend bool operator==(const HttpOptions&, const HttpOptions&) = default;
};

// Unknown fields are ignored, as Ray Serve does. kInvalidArgument naming the field.
Result<HttpOptions> ParseHttpOptions(const nlohmann::json& options);

// Set options that the proxy does not act on yet, by name.
std::vector<std::string> HttpNotActedUpon(const nlohmann::json& options);

}  // namespace penstock::config
