// Messages of the control protocol: what decodes survives being sent on.
#include "base/message.h"
#include "support/fuzz.h"

PENSTOCK_FUZZ(input) {
  using namespace penstock::base;
  const auto message = DecodeMessage(input.rest());
  if (!message.ok()) {
    PENSTOCK_CHECK(message.status().code() == penstock::Code::kInvalidArgument);
    return;
  }
  PENSTOCK_CHECK(input.rest().ends_with(message->blob));
  const auto again = DecodeMessage(EncodeMessage(*message));
  PENSTOCK_CHECK(again.ok());
  PENSTOCK_CHECK(again->json == message->json);
  PENSTOCK_CHECK(again->blob == message->blob);
}
