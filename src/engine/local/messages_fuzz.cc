// Orders and events between controller and agents: refused, or the same after another trip.
#include "engine/local/messages.h"

#include "support/fuzz.h"

namespace penstock::engine::local {
namespace {

using nlohmann::json;

// Parsing, writing and parsing again changes nothing.
template <class T>
void CheckTrip(const json& input, Result<T> (*parse)(const json&)) {
  const auto parsed = parse(input);
  if (!parsed.ok()) {
    PENSTOCK_CHECK(parsed.status().code() == Code::kInvalidArgument);
    return;
  }
  const json written = ToJson(*parsed);
  const auto again = parse(written);
  PENSTOCK_CHECK(again.ok());
  PENSTOCK_CHECK(ToJson(*again) == written);
}

// Sums of what is accepted cannot overflow.
void CheckAmounts(const resources::ResourceSet& set) {
  for (const auto& [name, amount] : set.amounts()) {
    PENSTOCK_CHECK(amount >= Quantity() && amount <= Quantity::Units(Quantity::kMaxUnits));
  }
}

void CheckNode(const json& input) {
  CheckTrip(input, NodeSpecFrom);
  const auto node = NodeSpecFrom(input);
  if (node.ok()) CheckAmounts(node->total);
}

void CheckStart(const json& input) {
  CheckTrip(input, StartOrderFrom);
  const auto order = StartOrderFrom(input);
  if (!order.ok()) return;
  CheckAmounts(order->allocation.amounts);
  for (const auto& bundle : order->bundles) CheckAmounts(bundle.allocation.amounts);
}

}  // namespace
}  // namespace penstock::engine::local

PENSTOCK_FUZZ(input) {
  using namespace penstock::engine::local;
  const int which = input.Byte() % 9;
  const json message = input.Json();
  if (message.is_discarded()) return;
  switch (which) {
    case 0:
      return CheckNode(message);
    case 1:
      return CheckStart(message);
    case 2:
      return CheckTrip(message, ReconfigureOrderFrom);
    case 3:
      return CheckTrip(message, StopOrderFrom);
    case 4:
      return CheckTrip(message, ProxyOrderFrom);
    case 5:
      return CheckTrip(message, ReplicaEventFrom);
    case 6:
      return CheckTrip(message, AdoptedReplicaFrom);
    case 7:
      return CheckTrip(message, CodeHostOrderFrom);
    default:
      return CheckTrip(message, ForkAnswerFrom);
  }
}
