#include "base/protocol.h"

#include "base/wire.h"

namespace penstock::base {

FrameHead HelloHead() { return {.kind = FrameKind::kHello}; }

std::string EncodeHello(const Hello& hello) {
  std::string payload;
  WireWriter writer(payload);
  writer.Put(hello.version);
  writer.PutString(hello.role);
  return payload;
}

Result<Hello> DecodeHello(std::string_view payload) {
  WireReader reader(payload);
  Hello hello;
  hello.version = reader.Get<std::uint32_t>();
  hello.role = reader.GetString();
  if (!reader.ok() || hello.version != kProtocolVersion) {
    return Status(Code::kFailedPrecondition,
                  "the peer speaks protocol version " + std::to_string(hello.version) +
                      ", this process version " + std::to_string(kProtocolVersion));
  }
  return hello;
}

std::string EncodeCredit(std::uint32_t bytes) {
  std::string payload;
  WireWriter(payload).Put(bytes);
  return payload;
}

std::uint32_t DecodeCredit(std::string_view payload) {
  return WireReader(payload).Get<std::uint32_t>();
}

std::string EncodeModels(const std::vector<std::string>& models) {
  std::string payload;
  WireWriter writer(payload);
  for (const std::string& model : models) {
    if (payload.size() + sizeof(std::uint32_t) + model.size() > kMaxDataPayload) break;
    writer.PutString(model);
  }
  return payload;
}

Result<std::vector<std::string>> DecodeModels(std::string_view payload) {
  WireReader reader(payload);
  std::vector<std::string> models;
  while (!reader.rest().empty()) models.emplace_back(reader.GetString());
  if (!reader.ok()) return InvalidArgument("a frame of models is cut off");
  return models;
}

}  // namespace penstock::base
