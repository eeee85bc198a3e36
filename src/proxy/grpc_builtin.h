// The gRPC services that the proxy answers itself: Ray Serve's, health, reflection.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "proxy/grpc_directory.h"
#include "proxy/grpc_status.h"
#include "route/router.h"

namespace penstock::proxy {

// What they know.
struct GrpcKnown {
  const GrpcDirectory& directory;
  const route::Router& router;
  bool reflection = true;
};

// The answer to one message: a message, or none, and the status of the call so far.
struct GrpcAnswer {
  std::optional<std::string> message;
  GrpcCode code = GrpcCode::kOk;
  std::string text;
};

struct GrpcBuiltin {
  GrpcAnswer (*answer)(const GrpcKnown& known, std::string_view message);
  bool streams = false;  // any number of messages, each answered; else exactly one
};

// The method of a path; nullptr when it is none of these.
const GrpcBuiltin* FindGrpcBuiltin(std::string_view path, const GrpcKnown& known);

}  // namespace penstock::proxy
