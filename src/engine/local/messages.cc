#include "engine/local/messages.h"

#include <algorithm>
#include <array>
#include <functional>
#include <utility>

#include "base/message.h"

namespace penstock::engine::local {
namespace {

using base::Whole;
using Json = nlohmann::json;
using Kind = ReplicaEvent::Kind;

constexpr std::array<std::pair<Kind, const char*>, 8> kKinds{{{Kind::kSpawned, "spawned"},
                                                              {Kind::kReady, "ready"},
                                                              {Kind::kStartFailed, "start_failed"},
                                                              {Kind::kReconfigured, "reconfigured"},
                                                              {Kind::kHealthy, "healthy"},
                                                              {Kind::kUnhealthy, "unhealthy"},
                                                              {Kind::kBusy, "busy"},
                                                              {Kind::kStopped, "stopped"}}};

// The library reports a missing or mistyped field by throwing; here that becomes a Status.
template <class T>
Result<T> Parse(const char* what, const Json& json, const std::function<T(const Json&)>& parse) {
  try {
    return parse(json);
  } catch (const Json::exception& error) {
    return InvalidArgument(std::string(what) + ": " + error.what());
  }
}

// Amounts travel as steps of 1e-4: exact, whatever a reader makes of decimals.
Json AmountsJson(const resources::ResourceSet& set) {
  Json json = Json::object();
  for (const auto& [name, amount] : set.amounts()) json[name] = amount.raw();
  return json;
}

resources::ResourceSet AmountsFrom(const Json& json) {
  resources::ResourceSet set;
  for (const auto& [name, steps] : json.items()) {
    set.Set(name, Quantity::Raw(Whole<std::int64_t>(steps)));
  }
  return set;
}

// kInvalidArgument for an amount that no node has: sums of those overflow.
Status CheckAmounts(const char* what, const resources::ResourceSet& set) {
  for (const auto& [name, amount] : set.amounts()) {
    if (amount >= Quantity() && amount <= Quantity::Units(Quantity::kMaxUnits)) continue;
    return InvalidArgument(std::string(what) + ": amount of " + name + " is out of range");
  }
  return {};
}

ReplicaId IdFrom(const Json& json) {
  return {{json.at("app"), json.at("deployment")}, json.at("unique")};
}

resources::Allocation AllocationFrom(const Json& json) {
  resources::Allocation allocation{.amounts = AmountsFrom(json.at("amounts"))};
  for (const auto& [resource, shares] : json.at("devices").items()) {
    for (const Json& share : shares) {
      allocation.devices[resource].push_back(
          {Whole<std::size_t>(share.at("device")),
           Quantity::Raw(Whole<std::int64_t>(share.at("share")))});
    }
  }
  return allocation;
}

std::vector<resources::Reservation> BundlesFrom(const Json& json) {
  std::vector<resources::Reservation> bundles;
  for (const Json& bundle : json) {
    bundles.push_back({bundle.at("node"), AllocationFrom(bundle.at("allocation"))});
  }
  return bundles;
}

Gang GangFrom(const Json& json) {
  return {.id = json.at("id"),
          .rank = Whole<int>(json.at("rank")),
          .members = json.at("members").get<std::vector<std::string>>()};
}

Rank RankFrom(const Json& json) {
  return {.global = Whole<int>(json.at("rank")),
          .node = Whole<int>(json.at("node_rank")),
          .local = Whole<int>(json.at("local_rank"))};
}

// Those of everything that the replica holds.
Status CheckAmounts(const char* what, const StartOrder& order) {
  Status bad = CheckAmounts(what, order.allocation.amounts);
  for (const resources::Reservation& bundle : order.bundles) {
    if (bad.ok()) bad = CheckAmounts(what, bundle.allocation.amounts);
  }
  return bad;
}

Json RuntimeEnvJson(const RuntimeEnv& env) {
  return {
      {"env_vars", env.env_vars}, {"working_dir", env.working_dir}, {"py_modules", env.py_modules}};
}

RuntimeEnv RuntimeEnvFrom(const Json& json) {
  return {.env_vars = json.at("env_vars").get<std::map<std::string, std::string>>(),
          .working_dir = json.at("working_dir"),
          .py_modules = json.at("py_modules").get<std::vector<std::string>>()};
}

LoggingSpec LoggingFrom(const Json& json) {
  return {.json = json.at("json"),
          .log_level = Whole<int>(json.at("log_level")),
          .logs_dir = json.at("logs_dir"),
          .enable_access_log = json.at("enable_access_log"),
          .additional_log_standard_attrs =
              json.at("additional_log_standard_attrs").get<std::vector<std::string>>()};
}

constexpr const char* kRouterHost = "request_router";
constexpr const char* kPolicyHost = "autoscaling_policy";

CodeHostOrder::Kind KindFrom(const Json& json) {
  return json == kPolicyHost ? CodeHostOrder::Kind::kAutoscalingPolicy
                             : CodeHostOrder::Kind::kRequestRouter;
}

StartOrder StartFrom(const Json& json) {
  return {.id = IdFrom(json.at("replica")),
          .node = json.at("node"),
          .allocation = AllocationFrom(json.at("allocation")),
          .bundles = BundlesFrom(json.at("bundles")),
          .gang = GangFrom(json.at("gang")),
          .default_cpus = json.at("default_cpus"),
          .code_version = json.at("code_version"),
          .app_record = json.value("app_record", Json()),
          .launch = json.at("launch"),
          .options = json.at("options"),
          .runtime_env = RuntimeEnvFrom(json.at("runtime_env")),
          .max_ongoing_requests = Whole<int>(json.at("max_ongoing_requests")),
          .user_config = json.at("user_config").dump(),
          .logging = LoggingFrom(json.at("logging")),
          .health_check_period_s = json.at("health_check_period_s"),
          .health_check_timeout_s = json.at("health_check_timeout_s"),
          .rank = RankFrom(json.at("rank")),
          .world_size = Whole<int>(json.at("world_size"))};
}

resources::NodeSpec NodeFrom(const Json& json) {
  resources::NodeSpec node{.id = json.at("id"),
                           .name = json.at("name"),
                           .ip = json.at("ip"),
                           .is_head = json.at("is_head"),
                           .total = AmountsFrom(json.at("total")),
                           .gpu_vendor = json.at("gpu_vendor")};
  for (const auto& [key, value] : json.at("labels").items()) node.labels[key] = value;
  for (const auto& [resource, ids] : json.at("device_ids").items()) {
    node.device_ids[resource] = ids.get<std::vector<std::string>>();
  }
  return node;
}

}  // namespace

Json ToJson(const ReplicaId& id) {
  return {{"app", id.deployment.app}, {"deployment", id.deployment.name}, {"unique", id.unique}};
}

Json ToJson(const resources::NodeSpec& node) {
  Json json = {{"id", node.id},
               {"name", node.name},
               {"ip", node.ip},
               {"is_head", node.is_head},
               {"labels", Json::object()},
               {"device_ids", Json::object()},
               {"gpu_vendor", node.gpu_vendor}};
  json["total"] = AmountsJson(node.total);
  for (const auto& [key, value] : node.labels) json["labels"][key] = value;
  for (const auto& [resource, ids] : node.device_ids) json["device_ids"][resource] = ids;
  return json;
}

Json ToJson(const resources::Allocation& allocation) {
  Json json = {{"amounts", AmountsJson(allocation.amounts)}, {"devices", Json::object()}};
  for (const auto& [resource, shares] : allocation.devices) {
    for (const auto& share : shares) {
      json["devices"][resource].push_back({{"device", share.device}, {"share", share.share.raw()}});
    }
  }
  return json;
}

Json ToJson(const Gang& gang) {
  return {{"id", gang.id}, {"rank", gang.rank}, {"members", gang.members}};
}

Json ToJson(const Rank& rank) {
  return {{"rank", rank.global}, {"node_rank", rank.node}, {"local_rank", rank.local}};
}

Json ToJson(const LoggingSpec& logging) {
  return {{"json", logging.json},
          {"log_level", logging.log_level},
          {"logs_dir", logging.logs_dir},
          {"enable_access_log", logging.enable_access_log},
          {"additional_log_standard_attrs", logging.additional_log_standard_attrs}};
}

Json ToJson(const StartOrder& order) {
  Json bundles = Json::array();
  for (const resources::Reservation& bundle : order.bundles) {
    bundles.push_back({{"node", bundle.node}, {"allocation", ToJson(bundle.allocation)}});
  }
  return {{"replica", ToJson(order.id)},
          {"node", order.node},
          {"allocation", ToJson(order.allocation)},
          {"bundles", bundles},
          {"gang", ToJson(order.gang)},
          {"default_cpus", order.default_cpus},
          {"code_version", order.code_version},
          {"app_record", order.app_record},
          {"launch", order.launch},
          {"options", order.options},
          {"runtime_env", RuntimeEnvJson(order.runtime_env)},
          {"max_ongoing_requests", order.max_ongoing_requests},
          {"user_config", Json::parse(order.user_config)},
          {"logging", ToJson(order.logging)},
          {"health_check_period_s", order.health_check_period_s},
          {"health_check_timeout_s", order.health_check_timeout_s},
          {"rank", ToJson(order.rank)},
          {"world_size", order.world_size}};
}

Json ToJson(const ReconfigureOrder& order) {
  Json json = {{"replica", ToJson(order.id)},
               {"node", order.node},
               {"options", order.options},
               {"app_record", order.app_record},
               {"max_ongoing_requests", order.max_ongoing_requests},
               {"logging", ToJson(order.logging)},
               {"health_check_period_s", order.health_check_period_s},
               {"health_check_timeout_s", order.health_check_timeout_s},
               {"rank", ToJson(order.rank)},
               {"world_size", order.world_size}};
  if (order.user_config_changed) json["user_config"] = Json::parse(order.user_config);
  return json;
}

Json ToJson(const StopOrder& order) {
  return {{"replica", ToJson(order.id)}, {"node", order.node}, {"grace_s", ToSeconds(order.grace)}};
}

Json ToJson(const ProxyOrder& order) {
  return {{"host", order.host},
          {"port", order.port},
          {"options", order.options},
          {"grpc_port", order.grpc_port},
          {"grpc_options", order.grpc_options}};
}

Json ToJson(const CodeHostOrder& order) {
  return {{"kind", order.kind == CodeHostOrder::Kind::kRequestRouter ? kRouterHost : kPolicyHost},
          {"app", order.id.app},
          {"deployment", order.id.name},
          {"socket", order.socket},
          {"launch", order.launch},
          {"runtime_env", RuntimeEnvJson(order.runtime_env)},
          {"import_path", order.import_path},
          {"kwargs", Json::parse(order.kwargs)}};
}

Json ToJson(const ReplicaEvent& event) {
  const char* kind = "";
  for (const auto& [value, name] : kKinds) {
    if (value == event.kind) kind = name;
  }
  return {{"kind", kind},
          {"replica", ToJson(event.id)},
          {"message", event.message},
          {"facts", event.facts.is_null() ? Json::object() : event.facts}};
}

Json ToJson(const AdoptedReplica& replica) {
  return {{"order", ToJson(replica.order)},
          {"ready", replica.ready},
          {"stopping", replica.stopping},
          {"facts", replica.facts}};
}

Json ToJson(const ForkAnswer& answer) {
  if (answer.why_not.empty()) return {{"pid", answer.pid}};
  return {{"why_not", answer.why_not}, {"ends", answer.ends}};
}

Result<resources::NodeSpec> NodeSpecFrom(const Json& json) {
  auto node = Parse<resources::NodeSpec>("node", json, NodeFrom);
  if (!node.ok()) return node;
  const Status bad = CheckAmounts("node", node->total);
  return bad.ok() ? std::move(node) : bad;
}

Result<StartOrder> StartOrderFrom(const Json& json) {
  auto order = Parse<StartOrder>("start order", json, StartFrom);
  if (!order.ok()) return order;
  const Status bad = CheckAmounts("start order", *order);
  return bad.ok() ? std::move(order) : bad;
}

Result<ReconfigureOrder> ReconfigureOrderFrom(const Json& json) {
  return Parse<ReconfigureOrder>("reconfigure order", json, [](const Json& j) {
    ReconfigureOrder order{.id = IdFrom(j.at("replica")),
                           .node = j.at("node"),
                           .options = j.at("options"),
                           .app_record = j.value("app_record", Json()),
                           .max_ongoing_requests = Whole<int>(j.at("max_ongoing_requests")),
                           .user_config_changed = j.contains("user_config"),
                           .logging = LoggingFrom(j.at("logging")),
                           .health_check_period_s = j.at("health_check_period_s"),
                           .health_check_timeout_s = j.at("health_check_timeout_s"),
                           .rank = RankFrom(j.at("rank")),
                           .world_size = Whole<int>(j.at("world_size"))};
    if (order.user_config_changed) order.user_config = j.at("user_config").dump();
    return order;
  });
}

Result<StopOrder> StopOrderFrom(const Json& json) {
  return Parse<StopOrder>("stop order", json, [](const Json& j) {
    return StopOrder{.id = IdFrom(j.at("replica")),
                     .node = j.at("node"),
                     .grace = FromSeconds(j.at("grace_s").get<double>())};
  });
}

Result<ProxyOrder> ProxyOrderFrom(const Json& json) {
  return Parse<ProxyOrder>("proxy order", json, [](const Json& j) {
    return ProxyOrder{.host = j.at("host"),
                      .port = Whole<int>(j.at("port")),
                      .options = j.at("options"),
                      .grpc_port = Whole<int>(j.at("grpc_port")),
                      .grpc_options = j.at("grpc_options")};
  });
}

Result<CodeHostOrder> CodeHostOrderFrom(const Json& json) {
  return Parse<CodeHostOrder>("code host order", json, [](const Json& j) {
    return CodeHostOrder{.kind = KindFrom(j.at("kind")),
                         .id = {j.at("app"), j.at("deployment")},
                         .socket = j.at("socket"),
                         .launch = j.at("launch"),
                         .runtime_env = RuntimeEnvFrom(j.at("runtime_env")),
                         .import_path = j.at("import_path"),
                         .kwargs = j.at("kwargs").dump()};
  });
}

Result<ReplicaEvent> ReplicaEventFrom(const Json& json) {
  const Json kind = json.is_object() ? json.value("kind", Json()) : Json();
  if (std::none_of(kKinds.begin(), kKinds.end(),
                   [&](const auto& known) { return kind == known.second; })) {
    return InvalidArgument("replica event: unknown kind " + kind.dump());
  }
  return Parse<ReplicaEvent>("replica event", json, [](const Json& j) {
    ReplicaEvent event{
        .id = IdFrom(j.at("replica")), .message = j.at("message"), .facts = j.at("facts")};
    for (const auto& [value, name] : kKinds) {
      if (j.at("kind") == name) event.kind = value;
    }
    return event;
  });
}

Result<ForkAnswer> ForkAnswerFrom(const Json& json) {
  auto answer = Parse<ForkAnswer>("fork answer", json, [](const Json& j) {
    if (j.contains("pid")) return ForkAnswer{.pid = Whole<int>(j.at("pid"))};
    return ForkAnswer{.why_not = j.at("why_not"), .ends = j.at("ends")};
  });
  if (!answer.ok()) return answer;
  if ((answer->pid > 0) != answer->why_not.empty()) {
    return InvalidArgument("fork answer: neither a process nor a reason");
  }
  return answer;
}

Result<AdoptedReplica> AdoptedReplicaFrom(const Json& json) {
  auto replica = Parse<AdoptedReplica>("adopted replica", json, [](const Json& j) {
    return AdoptedReplica{.order = StartFrom(j.at("order")),
                          .ready = j.at("ready"),
                          .stopping = j.at("stopping"),
                          .facts = j.at("facts")};
  });
  if (!replica.ok()) return replica;
  const Status bad = CheckAmounts("adopted replica", replica->order);
  return bad.ok() ? std::move(replica) : bad;
}

}  // namespace penstock::engine::local
