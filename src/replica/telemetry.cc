#include "replica/telemetry.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <filesystem>
#include <utility>

#include "base/file.h"
#include "replica/call.h"

namespace penstock::replica {
namespace {

using base::MetricFamily;
using base::MetricKind;

constexpr Duration kHalf = std::chrono::seconds(30);
constexpr int kInfo = 20;  // Python's number of the level of access lines

double Milliseconds(Duration span) { return ToSeconds(span) * 1000; }

// Ray Serve's words: the status of HTTP, else how it ended.
std::string_view StatusText(const Call& call, std::array<char, 8>& digits) {
  if (call.status() != 0) {
    const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), call.status());
    return {digits.data(), static_cast<std::size_t>(end.ptr - digits.data())};
  }
  if (call.cancelled()) return "CANCELLED";
  return call.failure().empty() ? "OK" : "ERROR";
}

}  // namespace

Status Telemetry::Begin(const nlohmann::json& assignment) {
  const nlohmann::json& replica = assignment.at("replica");
  app_ = replica.at("app");
  deployment_ = replica.at("deployment");
  replica_ = replica.at("unique");
  node_ = assignment.at("node").at("id");
  log_path_ = assignment.at("log");
  return SetLogging(assignment.at("logging"));
}

Status Telemetry::SetLogging(const nlohmann::json& logging) {
  const std::string folder = logging.at("logs_dir");
  const bool wanted = logging.at("enable_access_log") && logging.at("log_level") <= kInfo;
  base::AccessLogOptions options;
  options.component = app_ + "_" + deployment_;
  options.id = replica_;
  options.json = logging.at("json");
  options.fields = {{"deployment", options.component},
                    {"replica", replica_},
                    {"component_name", "replica"},
                    {"node_id", node_}};
  std::string path = log_path_;
  if (!folder.empty()) {
    if (Status bad = base::MakeDirs(folder); !bad.ok()) {
      return InvalidArgument("logging_config.logs_dir '" + folder + "': " + bad.message());
    }
    path = folder + "/" + std::filesystem::path(log_path_).filename().string();
  }
  if (wanted) options.file = {.path = path, .is_output = folder.empty()};
  return access_log_.Configure(options);
}

void Telemetry::OnAnswered(const Call& call) {
  const TimePoint now = loop_.clock().Now();  // a turn may have run user code for long
  Count(call, now);
  Log(call, now);
}

void Telemetry::Count(const Call& call, TimePoint now) {
  Route& route = RouteOf(call.route());
  const double ms = Milliseconds(now - call.began());
  route.latency_ms.Observe(ms);
  route.longest_ms.Note(ms, now);
  if (!call.failure().empty()) {
    ++route.failed.try_emplace(std::string(call.failure())).first->second;
  } else if (!call.cancelled()) {
    ++route.succeeded;
  }
}

Telemetry::Route& Telemetry::RouteOf(std::string_view name) {
  if (latest_ == nullptr || latest_->first != name) {
    auto found = routes_.find(name);
    if (found == routes_.end()) found = routes_.try_emplace(std::string(name)).first;
    latest_ = &*found;
  }
  return latest_->second;
}

void Telemetry::Log(const Call& call, TimePoint now) {
  const base::RequestHead& head = call.head();
  std::array<char, 8> digits;
  base::AccessLog::Entry entry{.request_id = head.request_id,
                               .method = head.method,
                               .target = call.route(),
                               .status = StatusText(call, digits),
                               .route = call.route(),
                               .app = app_,
                               .model_id = head.multiplexed_model_id,
                               .latency = now - call.began()};
  if (head.kind == base::CallKind::kCall || head.kind == base::CallKind::kGrpc) {
    entry.method = "CALL";
    entry.target = head.method;
  } else if (head.kind == base::CallKind::kWebSocket) {
    entry.method = "WS";
  }
  access_log_.Note(entry);
}

void Telemetry::Longest::Note(double ms, TimePoint now) {
  if (now - since >= kHalf) {
    before = now - since < 2 * kHalf ? current : 0;
    current = 0;
    since = now;
  }
  current = std::max(current, ms);
}

double Telemetry::Longest::Value(TimePoint now) const {
  if (now - since >= 2 * kHalf) return 0;
  return now - since >= kHalf ? current : std::max(current, before);
}

std::vector<std::string> Telemetry::Tags(std::vector<std::string> first) const {
  first.insert(first.end(), {deployment_, replica_, app_});
  return first;
}

std::vector<MetricFamily> Telemetry::Metrics(int ongoing) const {
  const std::vector<std::string> own{"deployment", "replica", "application"};
  const std::vector<std::string> by_route{"route", "deployment", "replica", "application"};
  MetricFamily requests{.name = "serve_deployment_request_counter",
                        .description = "Requests that this replica answered without an error.",
                        .tag_keys = by_route};
  MetricFamily errors{
      .name = "serve_deployment_error_counter",
      .description = "Exceptions that user code raised.",
      .tag_keys = {"route", "exception_type", "deployment", "replica", "application"}};
  MetricFamily latency{.name = "serve_deployment_processing_latency_ms",
                       .kind = MetricKind::kHistogram,
                       .description = "How long requests took in the replica.",
                       .tag_keys = by_route,
                       .bounds = {base::LatencyBounds().begin(), base::LatencyBounds().end()}};
  MetricFamily longest{.name = "serve_deployment_max_processing_latency_ms",
                       .kind = MetricKind::kGauge,
                       .description = "The longest that a request took within the last minute.",
                       .tag_keys = by_route};
  const TimePoint now = loop_.clock().Now();
  for (const auto& [name, route] : routes_) {
    requests.samples.push_back({Tags({name}), static_cast<double>(route.succeeded)});
    for (const auto& [type, count] : route.failed) {
      errors.samples.push_back({Tags({name, type}), static_cast<double>(count)});
    }
    latency.samples.push_back(route.latency_ms.Sample(Tags({name})));
    longest.samples.push_back({Tags({name}), route.longest_ms.Value(now)});
  }
  MetricFamily starts{.name = "serve_deployment_replica_starts",
                      .description = "Starts of this replica.",
                      .tag_keys = own,
                      .samples = {{Tags({}), 1}}};
  MetricFamily processing{.name = "serve_replica_processing_queries",
                          .kind = MetricKind::kGauge,
                          .description = "Requests that run now.",
                          .tag_keys = own,
                          .samples = {{Tags({}), static_cast<double>(ongoing)}}};
  return {requests, errors, latency, longest, starts, processing};
}

}  // namespace penstock::replica
