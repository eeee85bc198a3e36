// http_options as they are written: refused in words, or within their ranges.
#include "config/http_options.h"

#include <cmath>

#include "support/fuzz.h"

PENSTOCK_FUZZ(input) {
  using namespace penstock::config;
  const auto json = input.Json();
  if (json.is_discarded()) return;
  const auto options = ParseHttpOptions(json);
  if (!options.ok()) {
    PENSTOCK_CHECK(options.status().code() == penstock::Code::kInvalidArgument);
    PENSTOCK_CHECK(!options.status().message().empty());
    return;
  }
  PENSTOCK_CHECK(options->port >= 0 && options->port <= 65535);
  PENSTOCK_CHECK(std::isfinite(options->keep_alive_timeout_s) && options->keep_alive_timeout_s > 0);
  PENSTOCK_CHECK(std::isfinite(options->request_head_timeout_s) &&
                 options->request_head_timeout_s > 0);
  PENSTOCK_CHECK(std::isfinite(options->request_body_timeout_s) &&
                 options->request_body_timeout_s > 0);
  const double timeout = options->request_timeout_s.value_or(1);
  PENSTOCK_CHECK(std::isfinite(timeout) && timeout > 0);
  PENSTOCK_CHECK(options->enabled || options->host == HttpOptions().host);
}
