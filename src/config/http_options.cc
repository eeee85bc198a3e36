#include "config/http_options.h"

#include <utility>

#include "config/fields.h"

namespace penstock::config {
namespace {

Status Removed(const char* name, const Json& value) {
  return FieldError(std::string("http_options.") + name, "has been removed from Serve", value);
}

Status ReadAddress(const Json& options, HttpOptions& out) {
  if (options.contains("host")) {
    if (options.at("host").is_null()) {
      out.enabled = false;
    } else {
      auto host = TextField("http_options.host", options.at("host"));
      if (!host.ok()) return host.status();
      out.host = *std::move(host);
    }
  }
  if (!Has(options, "port")) return {};
  const auto port =
      WholeField("http_options.port", options.at("port"), {.least = 0, .most = 65535});
  if (!port.ok()) return port.status();
  out.port = static_cast<int>(*port);
  return {};
}

Status ReadTimeouts(const Json& options, HttpOptions& out) {
  if (Has(options, "request_timeout_s")) {
    const auto seconds =
        NumberField("http_options.request_timeout_s", options.at("request_timeout_s"), {});
    if (!seconds.ok()) return seconds.status();
    if (*seconds > 0) out.request_timeout_s = *seconds;
  }
  for (const auto& [name, field] :
       {std::pair("keep_alive_timeout_s", &HttpOptions::keep_alive_timeout_s),
        std::pair("request_head_timeout_s", &HttpOptions::request_head_timeout_s),
        std::pair("request_body_timeout_s", &HttpOptions::request_body_timeout_s)}) {
    if (!Has(options, name)) continue;
    const auto seconds = NumberField(std::string("http_options.") + name, options.at(name),
                                     {.least = 0, .above_least = true});
    if (!seconds.ok()) return seconds.status();
    out.*field = *seconds;
  }
  return {};
}

Status ReadLimits(const Json& options, HttpOptions& out) {
  if (!Has(options, "max_body_bytes")) return {};
  constexpr double kMost = 1e15;
  const auto bytes = WholeField("http_options.max_body_bytes", options.at("max_body_bytes"),
                                {.least = 0, .most = kMost});
  if (!bytes.ok()) return bytes.status();
  out.max_body_bytes = static_cast<std::uint64_t>(*bytes);
  return {};
}

Status ReadTexts(const Json& options, HttpOptions& out) {
  for (const auto& [name, field] :
       {std::pair("root_path", &HttpOptions::root_path),
        std::pair("ssl_keyfile", &HttpOptions::ssl_keyfile),
        std::pair("ssl_certfile", &HttpOptions::ssl_certfile),
        std::pair("ssl_keyfile_password", &HttpOptions::ssl_keyfile_password),
        std::pair("ssl_ca_certs", &HttpOptions::ssl_ca_certs)}) {
    if (!Has(options, name)) continue;
    auto text = TextField(std::string("http_options.") + name, options.at(name));
    if (!text.ok()) return text.status();
    out.*field = *std::move(text);
  }
  return {};
}

Status CheckRest(const Json& options, const HttpOptions& out) {
  if (Has(options, "middlewares") && options.at("middlewares") != Json::array()) {
    return Removed("middlewares", options.at("middlewares"));
  }
  if (Has(options, "num_cpus") && options.at("num_cpus") != 0) {
    return Removed("num_cpus", options.at("num_cpus"));
  }
  if (!out.ssl_certfile.empty() && out.ssl_keyfile.empty()) {
    return FieldError("http_options.ssl_certfile", "needs ssl_keyfile beside it",
                      options.at("ssl_certfile"));
  }
  return {};
}

}  // namespace

Result<HttpOptions> ParseHttpOptions(const Json& options) {
  HttpOptions out;
  if (options.is_null()) return out;
  if (!options.is_object()) {
    return FieldError("http_options",
                      "Input should be a valid dictionary or instance of HTTPOptions", options);
  }
  for (Status bad : {ReadAddress(options, out), ReadTimeouts(options, out),
                     ReadLimits(options, out), ReadTexts(options, out), CheckRest(options, out)}) {
    if (!bad.ok()) return bad;
  }
  return out;
}

}  // namespace penstock::config
