// Messages of a WebSocket, cut anywhere: the same messages, and what was read can be written.
#include "base/ws_message.h"

#include <string>

#include "support/fuzz.h"

namespace penstock::base {
namespace {

// Every message that `bytes` hold, written again; "!" behind them when they broke off as garbage.
std::string Read(std::string_view bytes, std::size_t step) {
  WsMessageReader reader;
  std::string written;
  while (!bytes.empty() && !reader.broken()) {
    reader.Feed(bytes.substr(0, step));
    bytes.remove_prefix(std::min(step, bytes.size()));
    while (const auto message = reader.Next()) {
      PENSTOCK_CHECK(message->data.size() <= kMaxWsMessage);
      AppendWsMessage(written, *message);
    }
  }
  return reader.broken() ? written + "!" : written;
}

}  // namespace
}  // namespace penstock::base

PENSTOCK_FUZZ(input) {
  using penstock::base::Read;
  const std::size_t step = 1 + input.Byte();
  const std::string_view bytes = input.rest();
  const std::string whole = Read(bytes, bytes.size() + 1);
  PENSTOCK_CHECK(Read(bytes, step) == whole);
  const bool broken = whole.ends_with('!') && whole != bytes.substr(0, whole.size());
  PENSTOCK_CHECK(bytes.starts_with(std::string_view(whole).substr(0, whole.size() - broken)));
}
