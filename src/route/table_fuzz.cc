// Route updates from the controller, and the match of a path.
#include "route/table.h"

#include "support/fuzz.h"

namespace penstock::route {
namespace {

// MatchRoute, said in another way: of the prefixes that end at a segment of `path`, the longest.
bool Under(std::string_view path, std::string_view prefix) {
  if (prefix.ends_with('/')) return path.starts_with(prefix);
  return (std::string(path) + '/').starts_with(std::string(prefix) + '/');
}

void CheckMatch(const std::vector<HttpRoute>& routes, std::string_view path) {
  const HttpRoute* match = MatchRoute(routes, path);
  PENSTOCK_CHECK(match == nullptr || Under(path, match->prefix));
  for (const HttpRoute& route : routes) {
    if (!Under(path, route.prefix)) continue;
    PENSTOCK_CHECK(match != nullptr && match->prefix.size() >= route.prefix.size());
  }
}

}  // namespace
}  // namespace penstock::route

PENSTOCK_FUZZ(input) {
  using namespace penstock::route;
  const std::string path(input.Take(input.Byte() % 32));
  const auto json = input.Json();
  if (json.is_discarded()) return;
  const auto update = ParseRouteUpdate(json);
  if (!update.ok()) {
    PENSTOCK_CHECK(update.status().code() == penstock::Code::kInvalidArgument);
    return;
  }
  const auto again = ParseRouteUpdate(ToJson(*update));
  PENSTOCK_CHECK(again.ok());
  PENSTOCK_CHECK(*again == *update);
  if (update->http) CheckMatch(*update->http, path);
}
