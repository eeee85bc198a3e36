#include "proxy/grpc_directory.h"

#include <utility>

#include "base/message.h"

namespace penstock::proxy {
namespace {

using base::Json;

// "package.Service" of "/package.Service/Method"; "" when it is no path of a method.
std::string_view ServiceOf(std::string_view path) {
  const auto slash = path.rfind('/');
  const bool good = path.starts_with('/') && slash > 1 && slash + 1 < path.size();
  return good ? path.substr(1, slash - 1) : std::string_view();
}

}  // namespace

Result<GrpcDirectory> GrpcDirectory::Parse(std::string_view payload) {
  auto message = base::DecodeMessage(payload);
  if (!message.ok()) return message.status();
  GrpcDirectory directory;
  try {  // the library reports a missing or mistyped field by throwing
    for (const Json& method : message->json.at("methods")) {
      const std::string path = method.at("path");
      const std::string_view service = ServiceOf(path);
      if (service.empty()) return InvalidArgument("gRPC directory: '" + path + "' is no method");
      directory.services_.emplace(service);
      directory.methods_[path] = {.servicer = method.at("servicer"),
                                  .client_streams = method.at("client_streams"),
                                  .server_streams = method.at("server_streams")};
    }
    std::size_t at = 0;
    for (const Json& json : message->json.at("files")) {
      const auto size = base::Whole<std::size_t>(json.at("size"));
      if (size > message->blob.size() - at) {
        return InvalidArgument("gRPC directory: a file is longer than what came");
      }
      GrpcFile file{.name = json.at("name"),
                    .descriptor = message->blob.substr(at, size),
                    .imports = json.at("imports")};
      at += size;
      for (const Json& symbol : json.at("symbols")) directory.symbols_[symbol] = file.name;
      directory.files_[file.name] = std::move(file);
    }
  } catch (const Json::exception& error) {
    return InvalidArgument(std::string("gRPC directory: ") + error.what());
  }
  return directory;
}

const GrpcMethod* GrpcDirectory::Find(std::string_view path) const {
  const auto found = methods_.find(path);
  return found == methods_.end() ? nullptr : &found->second;
}

std::vector<std::string_view> GrpcDirectory::FilesByName(const std::string& name) const {
  std::vector<std::string_view> descriptors;
  std::vector<const std::string*> wanted = {&name};
  std::set<std::string_view> seen = {name};
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    const auto found = files_.find(*wanted[i]);
    if (found == files_.end()) continue;
    descriptors.push_back(found->second.descriptor);
    for (const std::string& import : found->second.imports) {
      if (seen.insert(import).second) wanted.push_back(&import);
    }
  }
  return descriptors;
}

std::vector<std::string_view> GrpcDirectory::FilesBySymbol(const std::string& symbol) const {
  const auto found = symbols_.find(symbol);
  if (found == symbols_.end()) return {};
  return FilesByName(found->second);
}

}  // namespace penstock::proxy
