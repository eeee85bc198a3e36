#include "proxy/request_log.h"

#include <array>
#include <charconv>

#include "proxy/builtin.h"

namespace penstock::proxy {
namespace {

using base::MetricFamily;
using base::MetricKind;

constexpr const char* kWebSocket = "WS";

// Behaviour specification, 9.1.
bool IsError(const std::string& method, int status) {
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
  if (entry.deployment == nullptr && IsBuiltin(entry.route)) return;
  std::array<char, 8> digits;
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), entry.status);
  const bool matched = entry.deployment != nullptr;
  access_log_.Note({.request_id = entry.request_id,
                    .method = entry.method,
                    .target = entry.route,
                    .status = {digits.data(), static_cast<std::size_t>(end.ptr - digits.data())},
                    .route = matched ? entry.route : std::string_view(),
                    .app = matched ? std::string_view(entry.deployment->app) : std::string_view(),
                    .latency = entry.latency});
}

// A path that no route matched is not a label: clients may invent any number of them.
RequestLog::Series& RequestLog::SeriesOf(const Entry& entry) {
  static const DeploymentId kNobody;
  const DeploymentId& id = entry.deployment == nullptr ? kNobody : *entry.deployment;
  const bool known = entry.deployment != nullptr || IsBuiltin(entry.route);
  const std::string_view route = known ? entry.route : std::string_view();
  if (latest_ != nullptr) {
    const Key& key = latest_->first;
    if (key.status == entry.status && key.route == route && key.method == entry.method &&
        key.app == id.app && key.deployment == id.name) {
      return latest_->second;
    }
  }
  Key key{id.app, id.name, std::string(route), std::string(entry.method), entry.status};
  latest_ = &*series_.try_emplace(std::move(key)).first;
  return latest_->second;
}

std::vector<MetricFamily> RequestLog::Metrics(std::size_t ongoing) const {
  const std::vector<std::string> keys{"route", "method", "application", "status_code"};
  MetricFamily requests{.name = "serve_num_http_requests",
                        .description = "HTTP requests that were answered.",
                        .tag_keys = keys};
  MetricFamily latency{.name = "serve_http_request_latency_ms",
                       .kind = MetricKind::kHistogram,
                       .description = "How long HTTP requests took, from head to last byte.",
                       .tag_keys = keys,
                       .bounds = {base::LatencyBounds().begin(), base::LatencyBounds().end()}};
  MetricFamily errors{.name = "serve_num_http_error_requests",
                      .description = "HTTP requests that were answered with an error.",
                      .tag_keys = {"route", "error_code", "method", "application"}};
  MetricFamily by_deployment{
      .name = "serve_num_deployment_http_error_requests",
      .description = "HTTP requests to a deployment that were answered with an error.",
      .tag_keys = {"deployment", "error_code", "method", "route", "application"}};
  for (const auto& [key, series] : series_) {
    const std::string status = std::to_string(key.status);
    const auto count = static_cast<double>(series.count);
    requests.samples.push_back({{key.route, key.method, key.app, status}, count});
    latency.samples.push_back(series.latency_ms.Sample({key.route, key.method, key.app, status}));
    if (!IsError(key.method, key.status)) continue;
    errors.samples.push_back({{key.route, status, key.method, key.app}, count});
    by_deployment.samples.push_back(
        {{key.deployment, status, key.method, key.route, key.app}, count});
  }
  MetricFamily under_way{.name = "serve_num_ongoing_http_requests",
                         .kind = MetricKind::kGauge,
                         .description = "HTTP requests under way.",
                         .tag_keys = {"node_ip_address"},
                         .samples = {{{node_}, static_cast<double>(ongoing)}}};
  return {requests, latency, errors, by_deployment, under_way};
}

}  // namespace penstock::proxy
