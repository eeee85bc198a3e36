#include "route/metrics.h"

namespace penstock::route {

using base::MetricFamily;
using base::MetricKind;

std::vector<MetricFamily> RouterMetrics(const Router& router, const std::string& name) {
  const std::vector<std::string> keys{"deployment", "application", "handle", "actor_id"};
  MetricFamily requests{.name = "serve_num_router_requests",
                        .description = "Requests that this router took.",
                        .tag_keys = keys};
  MetricFamily handles{.name = "serve_handle_request_counter",
                       .description = "Requests that were made through handles.",
                       .tag_keys = {"handle", "deployment", "application"}};
  MetricFamily queued{.name = "serve_deployment_queued_queries",
                      .kind = MetricKind::kGauge,
                      .description = "Requests that wait for a replica.",
                      .tag_keys = keys};
  MetricFamily running{.name = "serve_num_ongoing_requests_at_replicas",
                       .kind = MetricKind::kGauge,
                       .description = "Requests that replicas run for this router.",
                       .tag_keys = keys};
  for (const auto& [id, queue] : router.queues()) {
    const std::string handle = id.app + "#" + id.name + "#" + name;
    const std::vector<std::string> tags{id.name, id.app, handle, name};
    const auto started = static_cast<double>(queue->started());
    const Load load = queue->Sample();
    double under_way = 0;
    for (const auto& [replica, count] : load.running) under_way += count;
    requests.samples.push_back({tags, started});
    handles.samples.push_back({{handle, id.name, id.app}, started});
    queued.samples.push_back({tags, static_cast<double>(load.queued)});
    running.samples.push_back({tags, under_way});
  }
  return {requests, handles, queued, running};
}

}  // namespace penstock::route
