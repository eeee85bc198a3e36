#include "proxy/request_log.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <iterator>

namespace penstock::proxy {
namespace {

using base::MetricFamily;
using base::MetricKind;

constexpr const char* kWebSocket = "WS";

// Methods that are labels; "-" is what could not be read. HTTP/2 takes any word.
constexpr std::string_view kMethods[] = {"GET",    "HEAD",     "POST",    "PUT",
                                         "DELETE", "CONNECT",  "OPTIONS", "TRACE",
                                         "PATCH",  kWebSocket, "-"};

// Behaviour specification, 9.1.
bool IsError(RequestLog::Protocol protocol, const std::string& method, int status) {
  if (protocol == RequestLog::Protocol::kGrpc) return status != 0;
  if (method == kWebSocket && status >= 1000) return status != 1000 && status != 1001;
  return status >= 400 && status < 600;
}

}  // namespace

Status RequestLog::SetFile(const std::string& path, bool json) {
  base::AccessLogOptions options;
  options.file.path = path;
  options.component = "proxy";
  options.id = node_;
  options.json = json;
  options.fields = {{"component_name", "proxy"}, {"component_id", node_}};
  return access_log_.Configure(options);
}

void RequestLog::Note(const Entry& entry) {
  Series& series = SeriesOf(entry);
  ++series.count;
  series.latency_ms.Observe(ToSeconds(entry.latency) * 1000);
  if (entry.builtin) return;
  std::array<char, 8> digits;
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), entry.status);
  const std::string_view number(digits.data(), static_cast<std::size_t>(end.ptr - digits.data()));
  const bool matched = entry.deployment != nullptr;
  access_log_.Note({.request_id = entry.request_id,
                    .method = entry.method,
                    .target = entry.route,
                    .status = entry.status_name.empty() ? number : entry.status_name,
                    .route = matched ? entry.route : std::string_view(),
                    .app = matched ? std::string_view(entry.deployment->app) : std::string_view(),
                    .latency = entry.latency});
}

// What no route matched is not a label: clients may invent any number of paths and of methods.
RequestLog::Series& RequestLog::SeriesOf(const Entry& entry) {
  static const DeploymentId kNobody;
  const DeploymentId& id = entry.deployment == nullptr ? kNobody : *entry.deployment;
  const bool known = entry.deployment != nullptr || entry.builtin;
  const std::string_view route = known ? entry.route : std::string_view();
  const bool usual = entry.protocol == Protocol::kGrpc
                         ? known
                         : std::ranges::find(kMethods, entry.method) != std::end(kMethods);
  const std::string_view method = usual ? entry.method : std::string_view();
  Counts& counts = Of(entry.protocol);
  if (counts.latest != nullptr) {
    const Key& key = counts.latest->first;
    if (key.status == entry.status && key.route == route && key.method == method &&
        key.app == id.app && key.deployment == id.name) {
      return counts.latest->second;
    }
  }
  Key key{id.app,
          id.name,
          std::string(route),
          std::string(method),
          entry.status,
          std::string(entry.status_name)};
  counts.latest = &*counts.series.try_emplace(std::move(key)).first;
  return counts.latest->second;
}

std::vector<MetricFamily> RequestLog::Metrics() const {
  std::vector<MetricFamily> families;
  AddFamilies(Protocol::kHttp, http_, families);
  AddFamilies(Protocol::kGrpc, grpc_, families);
  return families;
}

void RequestLog::AddFamilies(Protocol protocol, const Counts& counts,
                             std::vector<MetricFamily>& out) const {
  const bool grpc = protocol == Protocol::kGrpc;
  const std::string in_names = grpc ? "grpc" : "http";
  const std::string in_words = grpc ? "gRPC" : "HTTP";
  const std::vector<std::string> keys{"route", "method", "application", "status_code"};
  MetricFamily requests{.name = "serve_num_" + in_names + "_requests",
                        .description = in_words + " requests that were answered.",
                        .tag_keys = keys};
  MetricFamily latency{
      .name = "serve_" + in_names + "_request_latency_ms",
      .kind = MetricKind::kHistogram,
      .description = "How long " + in_words + " requests took, from head to last byte.",
      .tag_keys = keys,
      .bounds = {base::LatencyBounds().begin(), base::LatencyBounds().end()}};
  MetricFamily errors{.name = "serve_num_" + in_names + "_error_requests",
                      .description = in_words + " requests that were answered with an error.",
                      .tag_keys = {"route", "error_code", "method", "application"}};
  MetricFamily by_deployment{
      .name = "serve_num_deployment_" + in_names + "_error_requests",
      .description = in_words + " requests to a deployment that were answered with an error.",
      .tag_keys = {"deployment", "error_code", "method", "route", "application"}};
  for (const auto& [key, series] : counts.series) {
    const std::string status =
        key.status_name.empty() ? std::to_string(key.status) : key.status_name;
    const auto count = static_cast<double>(series.count);
    requests.samples.push_back({{key.route, key.method, key.app, status}, count});
    latency.samples.push_back(series.latency_ms.Sample({key.route, key.method, key.app, status}));
    if (!IsError(protocol, key.method, key.status)) continue;
    errors.samples.push_back({{key.route, status, key.method, key.app}, count});
    by_deployment.samples.push_back(
        {{key.deployment, status, key.method, key.route, key.app}, count});
  }
  MetricFamily under_way{.name = "serve_num_ongoing_" + in_names + "_requests",
                         .kind = MetricKind::kGauge,
                         .description = in_words + " requests under way.",
                         .tag_keys = {"node_ip_address"},
                         .samples = {{{node_}, static_cast<double>(counts.ongoing)}}};
  for (MetricFamily* family : {&requests, &latency, &errors, &by_deployment, &under_way}) {
    out.push_back(std::move(*family));
  }
}

}  // namespace penstock::proxy
