// Metrics as a process sends them: refused in words, or the same after another trip.
#include "base/metrics.h"

#include "support/fuzz.h"

PENSTOCK_FUZZ(input) {
  using namespace penstock::base;
  const auto message = input.Json();
  if (message.is_discarded()) return;
  const auto families = MetricsFromJson(message);
  if (!families.ok()) {
    PENSTOCK_CHECK(!families.status().message().empty());
    return;
  }
  const auto written = ToJson(*families);
  const auto again = MetricsFromJson(written);
  PENSTOCK_CHECK(again.ok());
  PENSTOCK_CHECK(ToJson(*again) == written);
}
