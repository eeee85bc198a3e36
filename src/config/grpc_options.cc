#include "config/grpc_options.h"

#include "config/fields.h"

namespace penstock::config {
namespace {

Status ReadNumbers(const Json& options, GrpcOptions& out) {
  if (Has(options, "port")) {
    const auto port =
        WholeField("grpc_options.port", options.at("port"), {.least = 0, .most = 65535});
    if (!port.ok()) return port.status();
    out.port = static_cast<int>(*port);
  }
  if (!Has(options, "request_timeout_s")) return {};
  const auto seconds =
      NumberField("grpc_options.request_timeout_s", options.at("request_timeout_s"), {});
  if (!seconds.ok()) return seconds.status();
  if (*seconds > 0) out.request_timeout_s = *seconds;
  return {};
}

Status ReadFunctions(const Json& options, GrpcOptions& out) {
  if (!Has(options, "grpc_servicer_functions")) return {};
  const Json& functions = options.at("grpc_servicer_functions");
  const char* const name = "grpc_options.grpc_servicer_functions";
  if (!functions.is_array()) {
    return FieldError(name, "should be a list of import paths", functions);
  }
  for (const Json& function : functions) {
    auto path = TextField(name, function);
    if (!path.ok()) return path.status();
    out.servicer_functions.push_back(*std::move(path));
  }
  return {};
}

bool IsSha256(const std::string& text) {
  return text.size() == 64 && text.find_first_not_of("0123456789abcdef") == std::string::npos;
}

Status ReadRest(const Json& options, GrpcOptions& out) {
  if (Has(options, "enable_reflection")) {
    const Json& reflection = options.at("enable_reflection");
    if (!reflection.is_boolean()) {
      return FieldError("grpc_options.enable_reflection", "should be True or False", reflection);
    }
    out.enable_reflection = reflection.get<bool>();
  }
  if (!Has(options, "directory")) return {};
  const Json& directory = options.at("directory");
  if (!directory.is_string() || !IsSha256(directory.get<std::string>())) {
    return FieldError("grpc_options.directory", "should be a SHA-256 in hexadecimal", directory);
  }
  out.directory = directory.get<std::string>();
  return {};
}

}  // namespace

Result<GrpcOptions> ParseGrpcOptions(const Json& options) {
  GrpcOptions out;
  if (options.is_null()) return out;
  if (!options.is_object()) {
    return FieldError("grpc_options",
                      "Input should be a valid dictionary or instance of gRPCOptions", options);
  }
  for (const Status& bad :
       {ReadNumbers(options, out), ReadFunctions(options, out), ReadRest(options, out)}) {
    if (!bad.ok()) return bad;
  }
  return out;
}

}  // namespace penstock::config
