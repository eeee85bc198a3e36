// What is served over gRPC: the methods of the user's services, and their descriptions for clients
// that ask (reflection). Made by the process that started Serve, from the servicer functions.
//
// Values; any thread.
#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "penstock/status.h"

namespace penstock::proxy {

struct GrpcMethod {
  std::string servicer;  // import path of the function that knows the types of its messages
  bool client_streams = false;
  bool server_streams = false;
};

// A .proto file, compiled.
struct GrpcFile {
  std::string name;
  std::string descriptor;            // a FileDescriptorProto
  std::vector<std::string> imports;  // names of files
};

class GrpcDirectory {
 public:
  // A message of base/message.h: methods and files in its JSON, the files' bytes one after another
  // in its blob. kInvalidArgument when it is none.
  static Result<GrpcDirectory> Parse(std::string_view payload);

  // By "/package.Service/Method"; nullptr when there is none.
  const GrpcMethod* Find(std::string_view path) const;

  // Names of the user's services.
  const std::set<std::string, std::less<>>& services() const { return services_; }

  // The descriptors of a file and all that it imports, itself first; empty when there is none.
  std::vector<std::string_view> FilesByName(const std::string& name) const;

  // As FilesByName, for the file that defines a service, method, message, ...
  std::vector<std::string_view> FilesBySymbol(const std::string& symbol) const;

 private:
  std::map<std::string, GrpcMethod, std::less<>> methods_;
  std::set<std::string, std::less<>> services_;
  std::map<std::string, GrpcFile> files_;
  std::map<std::string, std::string> symbols_;  // -> name of the file
};

// What is served, and how.
struct GrpcServing {
  GrpcDirectory directory;
  std::optional<double> request_timeout_s;  // absent: none
  bool reflection = true;
};

}  // namespace penstock::proxy
