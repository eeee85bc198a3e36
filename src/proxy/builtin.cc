#include "proxy/builtin.h"

#include <cmath>
#include <nlohmann/json.hpp>

namespace penstock::proxy {
namespace {

constexpr std::string_view kHealth = "/-/healthz";
constexpr std::string_view kRoutes = "/-/routes";

int HexValue(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

std::string PercentDecoded(std::string_view text) {
  std::string decoded;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size() && HexValue(text[i + 1]) >= 0 &&
        HexValue(text[i + 2]) >= 0) {
      decoded += static_cast<char>(HexValue(text[i + 1]) * 16 + HexValue(text[i + 2]));
      i += 2;
    } else {
      decoded += text[i];
    }
  }
  return decoded;
}

SimpleReply Routes(const route::Router& router) {
  nlohmann::json routes = nlohmann::json::object();
  for (const route::HttpRoute& route : router.http()) routes[route.prefix] = route.ingress.app;
  return {.status = 200, .content_type = "application/json", .body = routes.dump()};
}

}  // namespace

std::string DecodedPath(std::string_view target) {
  if (!target.starts_with('/')) {
    const auto scheme = target.find("://");
    if (scheme != std::string_view::npos) {
      const auto slash = target.find('/', scheme + 3);
      target = slash == std::string_view::npos ? "/" : target.substr(slash);
    }
  }
  target = target.substr(0, target.find('?'));
  target = target.substr(0, target.find('#'));
  return target.find('%') == std::string_view::npos ? std::string(target) : PercentDecoded(target);
}

std::optional<SimpleReply> BuiltinReply(std::string_view path, const route::Router& router) {
  if (path != kHealth && path != kRoutes) return std::nullopt;
  if (!router.populated()) {
    return NotInformed();
  }
  if (path == kHealth) return SimpleReply{200, std::string(kPlainText), "success", ""};
  return Routes(router);
}

SimpleReply NotInformed() {
  return {503, std::string(kPlainText), "Route table is not populated yet.", ""};
}

SimpleReply NotFound(std::string_view path) {
  return {
      404, std::string(kPlainText),
      "Path '" + std::string(path) + "' not found. Ping http://.../-/routes for available routes.",
      ""};
}

SimpleReply ReplyTo(const route::Failure& failure) {
  using Kind = route::Failure::Kind;
  if (failure.kind == Kind::kReplicaDied || failure.kind == Kind::kRouterFailed)
    return {500, std::string(kPlainText), "Internal Server Error", ""};
  SimpleReply reply{503, std::string(kPlainText), failure.message, ""};
  if (failure.kind == Kind::kBackpressure) {
    reply.status = failure.backpressure.status_code;
    if (failure.backpressure.retry_after_s) {
      const double seconds = std::ceil(*failure.backpressure.retry_after_s);
      reply.retry_after = std::to_string(static_cast<std::int64_t>(seconds));
    }
  }
  return reply;
}

SimpleReply TimedOut(std::string_view request_id, double timeout_s) {
  return {408, std::string(kPlainText),
          "Request " + std::string(request_id) + " timed out after " +
              nlohmann::json(timeout_s).dump() + "s.",
          ""};
}

SimpleReply Unreadable(int status) {
  return {status, std::string(kPlainText), "Invalid HTTP request received.", ""};
}

SimpleReply HeadTimedOut(Duration limit) {
  return {408, std::string(kPlainText),
          "The head of the request did not arrive within " +
              nlohmann::json(ToSeconds(limit)).dump() + "s.",
          ""};
}

SimpleReply BodyTimedOut(Duration limit) {
  return {
      408, std::string(kPlainText),
      "Nothing of the request's body arrived for " + nlohmann::json(ToSeconds(limit)).dump() + "s.",
      ""};
}

SimpleReply TooLarge(std::uint64_t limit_bytes) {
  return {413, std::string(kPlainText),
          "The request body is larger than " + std::to_string(limit_bytes) + " bytes.", ""};
}

}  // namespace penstock::proxy
