#include "config/http_options.h"

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
  if (!Has(options, "keep_alive_timeout_s")) return {};
  const auto seconds =
      NumberField("http_options.keep_alive_timeout_s", options.at("keep_alive_timeout_s"),
                  {.least = 0, .above_least = true});
  if (!seconds.ok()) return seconds.status();
  out.keep_alive_timeout_s = *seconds;
  return {};
}

Status CheckRest(const Json& options) {
  if (Has(options, "middlewares") && options.at("middlewares") != Json::array()) {
    return Removed("middlewares", options.at("middlewares"));
  }
  if (Has(options, "num_cpus") && options.at("num_cpus") != 0) {
    return Removed("num_cpus", options.at("num_cpus"));
  }
  if (Has(options, "ssl_certfile") && !Has(options, "ssl_keyfile")) {
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
  for (Status bad : {ReadAddress(options, out), ReadTimeouts(options, out), CheckRest(options)}) {
    if (!bad.ok()) return bad;
  }
  if (Has(options, "root_path")) {
    auto path = TextField("http_options.root_path", options.at("root_path"));
    if (!path.ok()) return path.status();
    out.root_path = *std::move(path);
  }
  return out;
}

std::vector<std::string> HttpNotActedUpon(const Json& options) {
  std::vector<std::string> names;
  if (!options.is_object()) return names;
  for (const char* name : {"ssl_keyfile", "ssl_certfile", "ssl_keyfile_password", "ssl_ca_certs"}) {
    if (Has(options, name)) names.push_back(std::string("http_options.") + name);
  }
  return names;
}

}  // namespace penstock::config
