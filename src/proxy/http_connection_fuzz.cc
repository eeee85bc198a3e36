// Any client on a real connection of the proxy, with a replica behind it that answers in several
// ways. Whatever the client says: replies have a head, nothing is left behind when the client is
// gone, and the next client is served.
#include <algorithm>
#include <cctype>
#include <string>

#include "support/fuzz_proxy.h"

namespace penstock::proxy {
namespace {

// True for "HTTP/1.1 NNN ".
bool IsStatusLine(std::string_view text) {
  return text.size() > 13 && text.starts_with("HTTP/1.1 ") && std::isdigit(text[9]) != 0 &&
         std::isdigit(text[10]) != 0 && std::isdigit(text[11]) != 0 && text[12] == ' ';
}

}  // namespace
}  // namespace penstock::proxy

PENSTOCK_FUZZ(input) {
  using namespace penstock::proxy;
  using namespace penstock::testing_support;
  static FuzzProxy setting;
  setting.replica.manner = static_cast<Manner>(input.Byte() % kManners);
  const std::size_t step = 1 + std::size_t{input.Byte()} * 16;
  const std::string text = setting.Talk(input.rest(), std::max(step, input.rest().size() / 64));
  // Empty lines before the first request are overlooked (RFC 9112, section 2.2).
  std::string_view first = input.rest();
  first.remove_prefix(std::min(first.find_first_not_of("\r\n"), first.size()));
  const bool http2 = first.starts_with("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
  PENSTOCK_CHECK(text.empty() || http2 || IsStatusLine(text));
  setting.CheckNothingIsLeft();
  setting.replica.manner = Manner::kInline;
  const std::string good = setting.Talk("GET /x HTTP/1.1\r\nHost: h\r\n\r\n", 1000);
  PENSTOCK_CHECK(good.starts_with("HTTP/1.1 200 OK\r\n") && good.ends_with("\r\n\r\nbody"));
  setting.CheckNothingIsLeft();
}
