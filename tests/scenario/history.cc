#include "scenario/history.h"

#include <algorithm>

namespace penstock::scenario {
namespace {

using nlohmann::json;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

constexpr control::RouterId kHandle = 2;
constexpr std::size_t kMostNodes = 4;

// Names of deployments are all different: the simulated engine knows behaviours by them.
std::vector<std::string> NamesIn(const std::string& app, std::uint64_t count) {
  std::vector<std::string> names;
  for (std::uint64_t i = 0; i < count; ++i) names.push_back(app + std::to_string(i));
  return names;
}

}  // namespace

History::History(std::uint64_t seed)
    : dice_(seed * 7919),
      sim_(seed, seed % 4 == 0 ? placement::Strategy::kPack : placement::Strategy::kSpread) {
  sim_.AddNode("head", {{"CPU", 6}, {"GPU", 2}});
  sim_.AddNode("other", {{"CPU", 6}, {"GPU", 2}});
  nodes_ = 2;
  drains_ = Chance(40);
  if (Chance(60)) {
    sim_.engine.faults = {.random = &dice_,
                          .max_delay = milliseconds(OneOf({1, 20, 300})),
                          .duplicated = OneOf({0.0, 0.1})};
  }
}

void History::Tell(const std::string& what) {
  told_.push_back(std::to_string(ToSeconds(sim_.clock.now.time_since_epoch())) + " s: " + what);
}

std::vector<std::string> History::Run(Duration span) {
  sim_.Run(span);
  return BrokenNow(sim_);
}

std::vector<std::string> History::Step() {
  using Action = void (History::*)();
  // As often as they stand here.
  static constexpr Action kActions[] = {&History::Deploy,          &History::Deploy,
                                        &History::Deploy,          &History::Delete,
                                        &History::Scale,           &History::Scale,
                                        &History::ChangeBehaviour, &History::Crash,
                                        &History::Crash,           &History::FailChecks,
                                        &History::FailChecks,      &History::DieSoon,
                                        &History::DieSoon,         &History::RestartController,
                                        &History::ReturnOneByOne,  &History::ReturnOneByOne,
                                        &History::BreakConnection, &History::Reconnect,
                                        &History::Reconnect,       &History::AddOrKillNode,
                                        &History::Drain,           &History::JumpClock,
                                        &History::ChangeRouters,   &History::ReportLoad};
  (this->*kActions[Below(std::size(kActions))])();
  std::vector<std::string> broken = BrokenNow(sim_);
  if (!broken.empty()) return broken;
  return Run(milliseconds(OneOf({0, 1, 7, 50, 120, 400, 1500, 6000})));
}

// ---- users ----------------------------------------------------------------------------------

json History::RandomOptions() {
  json options = {{"graceful_shutdown_timeout_s", OneOf({0.0, 0.5, 4.0})},
                  {"rolling_update_percentage", OneOf({0.2, 0.5, 1.0})}};
  json actor = {{"num_cpus", OneOf({0.0, 0.5, 1.0, 2.0})}};
  if (Chance(50)) actor["num_gpus"] = OneOf({0.25, 0.5, 1.0, 2.0});
  if (Chance(3)) actor["num_cpus"] = 7;  // no node has that
  options["ray_actor_options"] = actor;
  const auto kind = Below(10);
  if (kind < 2) {
    options["gang_scheduling_config"] = {{"gang_size", 2}};
    options["num_replicas"] = OneOf({2, 4});
    return options;
  }
  if (kind < 4) {
    const int least = OneOf({0, 1});
    options["autoscaling_config"] = {{"min_replicas", least},
                                     {"max_replicas", 4},
                                     {"upscale_delay_s", 0.2},
                                     {"downscale_delay_s", 2}};
  } else {
    options["num_replicas"] = static_cast<int>(1 + Below(4));
  }
  if (kind == 4) {
    options["placement_group_bundles"] = json::array({{{"CPU", 2}, {"GPU", 2}}, {{"CPU", 1}}});
    options["placement_group_strategy"] = OneOf({"PACK", "SPREAD"});
    return options;
  }
  if (Chance(40)) options["priority"] = OneOf({-1, 1, 2});
  if (Chance(30)) options["max_surge_percent"] = OneOf<json>({50, 100, "auto"});
  if (Chance(20)) options["max_replicas_per_node"] = OneOf({1, 2});
  if (Chance(40)) options["user_config"] = {{"threshold", Below(3)}};
  return options;
}

void History::Deploy() {
  const std::string app = OneOf<std::string>({"a", "b", "c"});
  json deployments = json::array();
  Wishes wishes;
  const std::vector<std::string> names = NamesIn(app, 1 + Below(2));
  for (const std::string& name : names) {
    const auto before = wishes_.find({app, name});
    const bool same_code = before != wishes_.end() && Chance(40);
    const std::string version =
        same_code ? before->second.version : "v" + std::to_string(++version_);
    json options = RandomOptions();
    if (same_code && Chance(60)) {  // little changes
      options = before->second.options;
      options["graceful_shutdown_timeout_s"] = OneOf({0.0, 0.5, 4.0});
      if (Chance(60)) options["user_config"] = {{"threshold", Below(9)}};
    }
    deployments.push_back({{"name", name}, {"options", options}, {"code_version", version}});
    wishes[{app, name}] = {.version = version, .options = options};
  }
  Status status;
  Ask([&] {
    status = sim_.TryDeploy({{"name", app},
                             {"route_prefix", "/" + app},
                             {"ingress", names.front()},
                             {"deployments", deployments}});
  });
  Tell("deploy " + app + " " + deployments.dump() + (status.ok() ? "" : status.message()));
  if (!status.ok()) return;
  std::erase_if(wishes_, [&](const auto& wish) { return wish.first.app == app; });
  wishes_.merge(wishes);
  for (const std::string& name : names) {
    const auto& behaviour = sim_.engine.behaviours[name];
    if (!behaviour.start_error.empty() || !behaviour.reconfigure_error.empty()) {
      MayFail({app, name});
    }
  }
}

void History::Delete() {
  const std::string app = OneOf<std::string>({"a", "b", "c"});
  Tell("delete " + app);
  Ask([&] {
    sim_.controller->Delete(app);
    sim_.Settle();
  });
  std::erase_if(wishes_, [&](const auto& wish) { return wish.first.app == app; });
}

// Deploys all of an application again, with other counts.
void History::Scale() {
  const std::string app = OneOf<std::string>({"a", "b", "c"});
  json deployments = json::array();
  std::string ingress;
  for (auto& [id, wish] : wishes_) {
    if (id.app != app) continue;
    if (ingress.empty()) ingress = id.name;
    if (wish.options.contains("num_replicas")) {
      const bool gang = wish.options.contains("gang_scheduling_config");
      wish.options["num_replicas"] = gang ? OneOf({2, 4, 6}) : static_cast<int>(1 + Below(5));
    }
    deployments.push_back(
        {{"name", id.name}, {"options", wish.options}, {"code_version", wish.version}});
  }
  if (ingress.empty()) return;
  Tell("scale " + app + " " + deployments.dump());
  Ask([&] {
    sim_.DeployApp({{"name", app},
                    {"route_prefix", "/" + app},
                    {"ingress", ingress},
                    {"deployments", deployments}});
  });
}

// ---- replicas -------------------------------------------------------------------------------

std::vector<ReplicaId> History::Processes() const {
  std::vector<ReplicaId> ids;
  for (const auto& [id, process] : sim_.engine.replicas) ids.push_back(id);
  return ids;
}

void History::MayFail(const DeploymentId& id) {
  if (const auto wish = wishes_.find(id); wish != wishes_.end()) wish->second.may_fail = true;
}

void History::ChangeBehaviour() {
  const std::string name = OneOf<std::string>({"a", "b", "c"}) + OneOf<std::string>({"0", "1"});
  auto& behaviour = sim_.engine.behaviours[name];
  behaviour.start = milliseconds(OneOf({1, 100, 3000}));
  behaviour.drain = milliseconds(OneOf({0, 50, 3000}));
  behaviour.start_error = Chance(30) ? "its constructor raised" : "";
  behaviour.reconfigure_error = Chance(20) ? "reconfigure raised" : "";
  Tell(name + " starts in " + std::to_string(ToSeconds(behaviour.start)) + " s, drains in " +
       std::to_string(ToSeconds(behaviour.drain)) + " s, " + behaviour.start_error + ", " +
       behaviour.reconfigure_error);
  if (!behaviour.start_error.empty() || !behaviour.reconfigure_error.empty()) {
    MayFail({name.substr(0, 1), name});
  }
}

void History::Crash() {
  const auto ids = Processes();
  if (ids.empty()) return;
  const ReplicaId id = ids[Below(ids.size())];
  Tell("crash of " + id.ToString());
  MayFail(id.deployment);
  sim_.engine.Crash(id);
  sim_.Settle();
}

void History::FailChecks() {
  const auto ids = Processes();
  if (ids.empty()) return;
  const ReplicaId id = ids[Below(ids.size())];
  const auto count = 1 + Below(4);
  Tell(std::to_string(count) + " checks fail of " + id.ToString());
  MayFail(id.deployment);
  for (std::uint64_t i = 0; i < count; ++i) sim_.engine.FailCheck(id);
  sim_.Settle();
}

// ---- nodes and the controller ---------------------------------------------------------------

void History::RestartController() {
  Tell("the controller restarts");
  sim_.RestartController();
}

// A new controller, to which nodes come back at different times, or too late.
void History::ReturnOneByOne() {
  Tell("the controller restarts, nodes are slow");
  sim_.ReplaceController();
  sim_.Run(milliseconds(OneOf({0, 10, 4000})));
  Reconnect();
}

void History::DieSoon() {
  const int points = static_cast<int>(Below(15));
  Tell("the controller is to die after " + std::to_string(points) + " points");
  sim_.DieAfter(points);
}

// Whoever asked a controller that died asks the next one again.
void History::Ask(const std::function<void()>& what) {
  const int deaths = sim_.deaths();
  what();
  if (sim_.deaths() > deaths) what();
}

void History::BreakConnection() {
  const NodeId node = sim_.nodes()[Below(sim_.nodes().size())].id;
  Tell("the connection of " + node + " breaks");
  for (auto& [id, wish] : wishes_) wish.may_fail = true;  // starts there have failed
  sim_.Disconnect(node);
}

void History::Reconnect() {
  for (const auto& node : sim_.nodes()) {
    if (sim_.engine.Connected(node.id) || Chance(30)) continue;
    Tell(node.id + " dials");
    sim_.Rejoin(node.id);
    if (Chance(50)) sim_.Run(milliseconds(OneOf({1, 100, 6000})));
  }
}

void History::AddOrKillNode() {
  if (sim_.nodes().size() < kMostNodes && Chance(50)) {
    Tell("a node comes");
    sim_.AddNode("more" + std::to_string(++nodes_), {{"CPU", OneOf({2, 6})}, {"GPU", 2}});
  } else if (sim_.nodes().size() > 1) {
    const NodeId node = sim_.nodes()[1 + Below(sim_.nodes().size() - 1)].id;
    Tell(node + " dies");
    for (auto& [id, wish] : wishes_) wish.may_fail = true;
    sim_.KillNode(node);
  }
}

void History::Drain() {
  if (!drains_) return;
  const NodeId node = sim_.nodes()[Below(sim_.nodes().size())].id;
  const bool back = Chance(40);
  Tell((back ? "use again " : "drain ") + node);
  std::optional<Duration> within;
  if (Chance(50)) within = seconds(OneOf({0, 3, 20}));
  // Refused for a node that is away.
  const Status status =
      back ? sim_.controller->Undrain(node) : sim_.controller->Drain(node, within);
  if (!status.ok()) Tell(status.message());
  sim_.Settle();
}

// The machine slept, or somebody set its clock.
void History::JumpClock() {
  if (Chance(50)) {
    sim_.clock.now += seconds(OneOf({1, 30, 3600}));
  } else {
    sim_.clock.unix_offset_s += OneOf({-3600.0, 100.0, 86400.0});
  }
  Tell("a clock jumps");
  sim_.Settle();
}

void History::ChangeRouters() {
  Tell("routers change");
  sim_.routers.silent = Chance(20);
  sim_.routers.delay = milliseconds(OneOf({1, 30, 900}));
  sim_.routers.loses = nullptr;
  if (Chance(40)) sim_.routers.loses = [this] { return Chance(50); };
  if (Chance(50)) {
    sim_.controller->OnSubscribe(kHandle, "handle", false, {{"a", "a0"}, {"b", "b0"}});
  } else {
    sim_.controller->OnRouterGone(kHandle);
  }
  sim_.Settle();
}

void History::ReportLoad() {
  for (const auto& [id, wish] : wishes_) {
    sim_.controller->OnLoad(
        {.router = "node0", .deployment = id, .queued = static_cast<double>(Below(12))});
  }
  sim_.Settle();
}

// ---- the end --------------------------------------------------------------------------------

std::vector<std::string> History::Rest() {
  Tell("rest");
  sim_.Settle();
  sim_.DieAfter(1 << 20);
  for (auto& [name, behaviour] : sim_.engine.behaviours) behaviour = {};
  sim_.engine.faults.max_delay = {};
  sim_.engine.faults.duplicated = 0;
  sim_.routers.silent = false;
  sim_.routers.loses = nullptr;
  sim_.routers.delay = milliseconds(1);
  for (const auto& node : sim_.nodes()) {
    if (!sim_.engine.Connected(node.id)) sim_.Rejoin(node.id);
  }
  for (const auto& node : sim_.nodes()) EXPECT_TRUE(sim_.controller->Undrain(node.id).ok());
  for (const auto& [id, wish] : wishes_) {
    sim_.controller->OnLoad({.router = "node0", .deployment = id, .queued = 0});
  }
  sim_.Settle();
  sim_.Run(minutes(5));
  sim_.engine.faults = {};  // what was under way has arrived
  return BrokenAtRest(sim_, wishes_);
}

}  // namespace penstock::scenario
