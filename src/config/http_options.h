// `http_options`: where and how the proxy listens (behaviour specification, 1.10).
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "penstock/status.h"

namespace penstock::config {

struct HttpOptions {
  std::string host = "127.0.0.1";
  int port = 8000;                          // 0: one that is free
  std::string root_path;                    // prefix that a gateway in front strips; "" for none
  std::optional<double> request_timeout_s;  // <= 0 or absent: none
  double keep_alive_timeout_s = 90;         // > 0; idle connections are closed after it
  double request_head_timeout_s = 60;       // > 0; for a request's head once it has begun
  double request_body_timeout_s = 60;       // > 0; between two pieces of a request's body
  std::uint64_t max_body_bytes = std::uint64_t{1} << 30;  // of a request
  bool enabled = true;                                    // false when host is None

  // Paths of files in PEM form, and the key's password; "" for none.
  std::string ssl_keyfile;
  std::string ssl_certfile;
  std::string ssl_keyfile_password;
  std::string ssl_ca_certs;

  friend bool operator==(const HttpOptions&, const HttpOptions&) = default;
};

// Unknown fields are ignored, as Ray Serve does. kInvalidArgument naming the field.
Result<HttpOptions> ParseHttpOptions(const nlohmann::json& options);

}  // namespace penstock::config
