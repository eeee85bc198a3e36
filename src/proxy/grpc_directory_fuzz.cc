// The directory of gRPC methods: refused in words, or everything it names can be looked up.
#include "proxy/grpc_directory.h"

#include "base/message.h"
#include "support/fuzz.h"

PENSTOCK_FUZZ(input) {
  using namespace penstock;
  const std::string blob(input.Take(input.Byte()));
  const auto json = input.Json();
  if (json.is_discarded()) return;
  const auto directory = proxy::GrpcDirectory::Parse(base::EncodeMessage({json, blob}));
  if (!directory.ok()) {
    PENSTOCK_CHECK(directory.status().code() == Code::kInvalidArgument);
    return;
  }
  for (const auto& method : json.at("methods")) {
    PENSTOCK_CHECK(directory->Find(method.at("path").get<std::string>()) != nullptr);
  }
  for (const auto& file : json.at("files")) {
    PENSTOCK_CHECK(!directory->FilesByName(file.at("name")).empty());
    for (const auto& symbol : file.at("symbols")) {
      PENSTOCK_CHECK(!directory->FilesBySymbol(symbol).empty());
    }
  }
}
