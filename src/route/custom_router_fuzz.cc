// What a custom router's process answers: groups of names, or refused.
#include "route/custom_router.h"

#include "support/fuzz.h"

PENSTOCK_FUZZ(input) {
  using namespace penstock::route;
  const auto json = input.Json();
  if (json.is_discarded()) return;
  const auto ranking = ParseRanking(json);
  if (!ranking.ok()) {
    PENSTOCK_CHECK(ranking.status().code() == penstock::Code::kInvalidArgument);
    return;
  }
  PENSTOCK_CHECK(nlohmann::json(*ranking) == json.at("ranked"));
}
