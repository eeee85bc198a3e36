#include "proxy/grpc_builtin.h"

#include <grpc_services.pb.h>

#include <map>
#include <set>

#include "proxy/builtin.h"

namespace penstock::proxy {
namespace {

GrpcAnswer Malformed() {
  return {.message = {}, .code = GrpcCode::kInternal, .text = "the request cannot be parsed"};
}

// The message is sent also with a status that is not OK, as Ray Serve does.
GrpcAnswer WithHealth(const route::Router& router, std::string message) {
  if (router.populated()) return {.message = std::move(message)};
  return {
      .message = std::move(message), .code = GrpcCode::kUnavailable, .text = NotInformed().body};
}

GrpcAnswer ListApplications(const GrpcKnown& known, std::string_view) {
  std::set<std::string> names;
  for (const route::HttpRoute& route : known.router.http()) names.insert(route.ingress.app);
  messages::ListApplicationsResponse response;
  for (const std::string& name : names) response.add_application_names(name);
  return WithHealth(known.router, response.SerializeAsString());
}

GrpcAnswer Healthz(const GrpcKnown& known, std::string_view) {
  messages::HealthzResponse response;
  response.set_message(known.router.populated() ? "success" : NotInformed().body);
  return WithHealth(known.router, response.SerializeAsString());
}

GrpcAnswer Check(const GrpcKnown& known, std::string_view message) {
  messages::HealthCheckRequest request;
  if (!request.ParseFromArray(message.data(), static_cast<int>(message.size()))) return Malformed();
  const std::string& service = request.service();
  if (!service.empty() && known.directory.services().count(service) == 0) {
    return {.message = {},
            .code = GrpcCode::kNotFound,
            .text = "there is no service '" + service + "'"};
  }
  messages::HealthCheckResponse response;
  response.set_status(known.router.populated() ? messages::HealthCheckResponse::SERVING
                                               : messages::HealthCheckResponse::NOT_SERVING);
  return {.message = response.SerializeAsString()};
}

GrpcAnswer Watch(const GrpcKnown&, std::string_view) {
  return {.message = {},
          .code = GrpcCode::kUnimplemented,
          .text = "Watch is not there; ask with Check"};
}

void AddFiles(const std::vector<std::string_view>& files, const std::string& wanted,
              messages::ServerReflectionResponse& response) {
  if (files.empty()) {
    response.mutable_error_response()->set_error_code(static_cast<int>(GrpcCode::kNotFound));
    response.mutable_error_response()->set_error_message("not found: " + wanted);
    return;
  }
  for (const std::string_view file : files) {
    response.mutable_file_descriptor_response()->add_file_descriptor_proto(file.data(),
                                                                           file.size());
  }
}

GrpcAnswer Reflect(const GrpcKnown& known, std::string_view message) {
  messages::ServerReflectionRequest request;
  if (!request.ParseFromArray(message.data(), static_cast<int>(message.size()))) return Malformed();
  messages::ServerReflectionResponse response;
  response.set_valid_host(request.host());
  *response.mutable_original_request() = request;
  using Kind = messages::ServerReflectionRequest::MessageRequestCase;
  switch (request.message_request_case()) {
    case Kind::kListServices:
      for (const std::string& name : known.directory.services()) {
        response.mutable_list_services_response()->add_service()->set_name(name);
      }
      break;
    case Kind::kFileByFilename:
      AddFiles(known.directory.FilesByName(request.file_by_filename()), request.file_by_filename(),
               response);
      break;
    case Kind::kFileContainingSymbol:
      AddFiles(known.directory.FilesBySymbol(request.file_containing_symbol()),
               request.file_containing_symbol(), response);
      break;
    default:
      response.mutable_error_response()->set_error_code(static_cast<int>(GrpcCode::kUnimplemented));
      response.mutable_error_response()->set_error_message("extensions are not told of");
  }
  return {.message = response.SerializeAsString()};
}

const std::map<std::string_view, GrpcBuiltin>& Builtins() {
  static const std::map<std::string_view, GrpcBuiltin> all = {
      {"/ray.serve.RayServeAPIService/ListApplications", {&ListApplications}},
      {"/ray.serve.RayServeAPIService/Healthz", {&Healthz}},
      {"/grpc.health.v1.Health/Check", {&Check}},
      {"/grpc.health.v1.Health/Watch", {&Watch}},
      {"/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", {&Reflect, true}},
      {"/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", {&Reflect, true}},
  };
  return all;
}

}  // namespace

const GrpcBuiltin* FindGrpcBuiltin(std::string_view path, const GrpcKnown& known) {
  const auto found = Builtins().find(path);
  if (found == Builtins().end()) return nullptr;
  if (found->second.streams && !known.reflection) return nullptr;
  return &found->second;
}

}  // namespace penstock::proxy
