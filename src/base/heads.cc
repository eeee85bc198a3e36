#include "base/heads.h"

#include "base/wire.h"

namespace penstock::base {
namespace {

using Headers = std::vector<std::pair<std::string_view, std::string_view>>;

void PutHeaders(WireWriter& writer, const Headers& headers) {
  writer.Put(static_cast<std::uint16_t>(headers.size()));
  for (const auto& [name, value] : headers) {
    writer.PutString(name);
    writer.PutString(value);
  }
}

void GetHeaders(WireReader& reader, Headers& headers) {
  const auto count = reader.Get<std::uint16_t>();
  headers.clear();
  for (int i = 0; i < count && reader.ok(); ++i) {
    const std::string_view name = reader.GetString();
    headers.emplace_back(name, reader.GetString());
  }
}

}  // namespace

void AppendRequestHead(std::string& out, const RequestHead& head) {
  WireWriter writer(out);
  writer.Put(static_cast<std::uint8_t>(head.kind));
  writer.Put(head.flags);
  writer.PutString(head.request_id);
  writer.PutString(head.app);
  writer.PutString(head.route);
  writer.PutString(head.root_path);
  writer.PutString(head.multiplexed_model_id);
  writer.PutString(head.session_id);
  writer.PutString(head.method);
  if (head.kind == CallKind::kCall) return;
  if (head.kind == CallKind::kGrpc) writer.PutString(head.servicer);
  writer.PutString(head.target);
  writer.PutString(head.http_version);
  writer.PutString(head.client);
  writer.PutString(head.server);
  PutHeaders(writer, head.headers);
}

bool ParseRequestHead(std::string_view payload, RequestHead& head, std::string_view& body) {
  WireReader reader(payload);
  head.kind = static_cast<CallKind>(reader.Get<std::uint8_t>());
  if (head.kind < CallKind::kHttp || head.kind > CallKind::kGrpc) return false;
  head.flags = reader.Get<std::uint8_t>();
  head.request_id = reader.GetString();
  head.app = reader.GetString();
  head.route = reader.GetString();
  head.root_path = reader.GetString();
  head.multiplexed_model_id = reader.GetString();
  head.session_id = reader.GetString();
  head.method = reader.GetString();
  if (head.kind == CallKind::kGrpc) head.servicer = reader.GetString();
  if (head.kind != CallKind::kCall) {
    head.target = reader.GetString();
    head.http_version = reader.GetString();
    head.client = reader.GetString();
    head.server = reader.GetString();
    GetHeaders(reader, head.headers);
  }
  body = reader.rest();
  return reader.ok();
}

RoutingKeys ParseRoutingKeys(std::string_view payload) {
  WireReader reader(payload);
  reader.Get<std::uint8_t>();                                  // kind
  reader.Get<std::uint8_t>();                                  // flags
  for (int field = 0; field < 4; ++field) reader.GetString();  // request id ... root path
  RoutingKeys keys;
  keys.multiplexed_model_id = reader.GetString();
  keys.session_id = reader.GetString();
  return keys;
}

void AppendReplyHead(std::string& out, const ReplyHead& head) {
  WireWriter writer(out);
  writer.Put(head.status);
  PutHeaders(writer, head.headers);
}

bool ParseReplyHead(std::string_view payload, ReplyHead& head, std::string_view& body) {
  WireReader reader(payload);
  head.status = reader.Get<std::uint16_t>();
  GetHeaders(reader, head.headers);
  body = reader.rest();
  return reader.ok();
}

}  // namespace penstock::base
