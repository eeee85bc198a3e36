// Heads of requests and replies: the encoding has one form, so what parses is what is written.
#include <string>

#include "base/heads.h"
#include "base/protocol.h"
#include "support/fuzz.h"

namespace penstock::base {
namespace {

bool Inside(std::string_view part, std::string_view whole) {
  return part.empty() ||
         (part.data() >= whole.data() && part.data() + part.size() <= whole.data() + whole.size());
}

void CheckRequest(std::string_view payload) {
  RequestHead head;
  std::string_view body;
  if (!ParseRequestHead(payload, head, body)) return;
  std::string written;
  AppendRequestHead(written, head);
  PENSTOCK_CHECK(written + std::string(body) == payload);
  const RoutingKeys keys = ParseRoutingKeys(payload);
  PENSTOCK_CHECK(keys.multiplexed_model_id == head.multiplexed_model_id);
  PENSTOCK_CHECK(keys.session_id == head.session_id);
  for (const auto view : {head.request_id, head.app, head.route, head.root_path, head.method,
                          head.target, head.client, head.server}) {
    PENSTOCK_CHECK(Inside(view, payload));
  }
  // Cut anywhere inside the head, it is refused.
  for (const std::size_t cut : {std::size_t{0}, written.size() / 2, written.size() - 1}) {
    PENSTOCK_CHECK(!ParseRequestHead(payload.substr(0, cut), head, body));
  }
}

void CheckReply(std::string_view payload) {
  ReplyHead head;
  std::string_view body;
  if (!ParseReplyHead(payload, head, body)) return;
  std::string written;
  AppendReplyHead(written, head);
  PENSTOCK_CHECK(written + std::string(body) == payload);
  PENSTOCK_CHECK(!ParseReplyHead(payload.substr(0, written.size() - 1), head, body));
}

void CheckHello(std::string_view payload) {
  const auto hello = DecodeHello(payload);
  if (!hello.ok()) return;
  PENSTOCK_CHECK(hello->version == kProtocolVersion);
  PENSTOCK_CHECK(payload.starts_with(EncodeHello(*hello)));
}

void CheckCredit(std::string_view payload) {
  const std::uint32_t bytes = DecodeCredit(payload);
  PENSTOCK_CHECK(bytes == 0 || payload.starts_with(EncodeCredit(bytes)));
}

}  // namespace
}  // namespace penstock::base

PENSTOCK_FUZZ(input) {
  using namespace penstock::base;
  switch (input.Byte() % 4) {
    case 0:
      return CheckRequest(input.rest());
    case 1:
      return CheckReply(input.rest());
    case 2:
      return CheckHello(input.rest());
    default:
      return CheckCredit(input.rest());
  }
}
