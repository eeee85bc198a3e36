// The controller with a cluster's worth of deployments: what a change costs.
//
// The real controller and its SQLite store, an engine whose replicas start at once, and routers
// that encode, parse and acknowledge what they are told as the real ones do; one thread does all of
// it. A tick is one event (or a batch of them) and the Settle() after it.
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "control/app_request.h"
#include "control/controller.h"
#include "penstock/check.h"

namespace penstock {
namespace {

using engine::ReplicaEvent;
using nlohmann::json;
using Steady = std::chrono::steady_clock;

constexpr int kDeploymentsPerApp = 10;
constexpr int kReplicasPerDeployment = 5;
constexpr int kReplicasPerNode = 25;

double MillisecondsSince(Steady::time_point begin) {
  return std::chrono::duration<double, std::milli>(Steady::now() - begin).count();
}

class BenchClock final : public base::Clock {
 public:
  TimePoint Now() const override { return now; }
  double UnixSeconds() const override { return ToSeconds(now.time_since_epoch()); }
  TimePoint now = TimePoint() + std::chrono::hours(1);
};

// Orders become events that the bench hands on.
class BenchEngine final : public engine::Engine {
 public:
  void SetListener(engine::EngineListener& listener) override { listener_ = &listener; }
  void Start(const engine::StartOrder& order) override {
    running[order.id] = order.node;
    events.push_back({.kind = ReplicaEvent::Kind::kReady,
                      .id = order.id,
                      .message = "",
                      .facts = {{"socket", "/bench/" + order.id.unique}}});
  }
  void Reconfigure(const engine::ReconfigureOrder& order) override {
    events.push_back(
        {.kind = ReplicaEvent::Kind::kReconfigured, .id = order.id, .message = "", .facts = {}});
  }
  void Stop(const engine::StopOrder& order) override {
    running.erase(order.id);
    events.push_back({.kind = ReplicaEvent::Kind::kStopped,
                      .id = order.id,
                      .message = "exit code 0",
                      .facts = {}});
  }
  void StartProxy(const NodeId&, const engine::ProxyOrder&,
                  std::function<void(Result<std::string>)> done) override {
    done(std::string("127.0.0.1:8000"));
  }
  void StopProxy(const NodeId&, std::function<void(Status)> done) override { done({}); }
  void RunCodeHosts(const NodeId&, const std::vector<engine::CodeHostOrder>&) override {}
  void StopNode(const NodeId&) override {}

  engine::EngineListener& listener() { return *listener_; }

  std::map<ReplicaId, NodeId> running;
  std::deque<ReplicaEvent> events;  // not yet told

 private:
  engine::EngineListener* listener_ = nullptr;
};

// Each update is encoded, decoded and kept once for every router, as on as many connections.
class BenchRouters final : public control::RoutePublisher {
 public:
  void Publish(control::RouterId router, const route::RouteUpdate& update) override {
    const auto read = route::ParseRouteUpdate(json::parse(route::ToJson(update).dump()));
    PENSTOCK_CHECK(read.ok());
    for (const auto& deployment : read->deployments) tables_[router][deployment.id] = deployment;
    owed.emplace_back(router, read->epoch);
    last = Steady::now();
  }

  std::vector<std::pair<control::RouterId, std::uint64_t>> owed;  // acknowledgements
  Steady::time_point last;

 private:
  std::map<control::RouterId, std::map<DeploymentId, route::DeploymentRoute>> tables_;
};

struct Figures {
  std::vector<double> ticks_ms;
  std::vector<double> routes_ms;  // from the event until the last router has it
};

double Percentile(std::vector<double> values, double share) {
  if (values.empty()) return 0;
  std::ranges::sort(values);
  return values[static_cast<std::size_t>(share * static_cast<double>(values.size() - 1))];
}

class Bench {
 public:
  Bench(int deployments, int nodes, int routers) : deployments_(deployments) {
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directories(folder_);
    store_ = std::move(control::OpenSqliteStore(folder_ / "state.db", clock_.UnixSeconds())->store);
    controller_ = std::make_unique<control::Controller>(
        control::Controller::Ports{clock_, engine_, *store_, routers_, random_},
        control::ControllerOptions{.sockets = folder_});
    engine_.SetListener(*controller_);
    PENSTOCK_CHECK(controller_->Recover().ok());
    for (int i = 0; i < nodes; ++i) {
      resources::NodeSpec node{.id = "node" + std::to_string(i),
                               .name = "node" + std::to_string(i),
                               .ip = "10.0.0.1",
                               .is_head = i == 0,
                               .labels = {}};
      node.total.Set("CPU", Quantity::Units(4 * kReplicasPerNode));
      engine_.listener().OnNodeUp(node, {});
    }
    for (int i = 1; i <= routers; ++i) {
      controller_->OnSubscribe(static_cast<control::RouterId>(i), "proxy", true, {});
    }
    Settle();
    for (int app = 0; app * kDeploymentsPerApp < deployments; ++app) {
      Deploy(app, std::min(kDeploymentsPerApp, deployments - app * kDeploymentsPerApp));
    }
    Drain();
    PENSTOCK_CHECK(static_cast<int>(engine_.running.size()) ==
                   deployments * kReplicasPerDeployment);
  }
  ~Bench() { std::filesystem::remove_all(folder_); }

  // `changes` replicas of as many deployments die at once, again and again, each followed by what
  // comes of it: a new one is placed, started, ready, and every router is told.
  Figures Kill(int rounds, int changes) {
    Figures figures;
    for (int round = 0; round < rounds; ++round) {
      const auto begin = Steady::now();
      for (int i = 0; i < changes; ++i) {
        auto victim = engine_.running.begin();
        std::advance(victim, random_.Next() % engine_.running.size());
        const ReplicaId id = victim->first;
        engine_.running.erase(victim);
        engine_.listener().OnReplicaEvent(
            {.kind = ReplicaEvent::Kind::kStopped, .id = id, .message = "killed", .facts = {}});
      }
      Timed(figures, begin);
      Drain(&figures);
    }
    return figures;
  }

  // Load of an autoscaled deployment is told.
  Figures Report(int rounds) {
    Figures figures;
    for (int round = 0; round < rounds; ++round) {
      clock_.now += std::chrono::milliseconds(10);
      const auto begin = Steady::now();
      const int deployment = static_cast<int>(random_.Next() % static_cast<unsigned>(deployments_));
      controller_->OnLoad({.router = "proxy",
                           .deployment = {"app" + std::to_string(deployment / kDeploymentsPerApp),
                                          "d" + std::to_string(deployment % kDeploymentsPerApp)},
                           .arrived = static_cast<std::uint64_t>(round),
                           .queued = 1});
      Timed(figures, begin);
    }
    return figures;
  }

 private:
  void Deploy(int app, int deployments) {
    json list = json::array();
    for (int i = 0; i < deployments; ++i) {
      list.push_back({{"name", "d" + std::to_string(i)},
                      {"options",
                       {{"autoscaling_config",
                         {{"min_replicas", kReplicasPerDeployment},
                          {"max_replicas", kReplicasPerDeployment}}}}}});
    }
    const std::string name = "app" + std::to_string(app);
    auto request = control::ParseAppRequest(
        {{"name", name}, {"route_prefix", "/" + name}, {"ingress", "d0"}, {"deployments", list}},
        "v1");
    PENSTOCK_CHECK(request.ok());
    PENSTOCK_CHECK(controller_->Deploy(*std::move(request)).ok());
    Settle();
  }

  void Timed(Figures& figures, Steady::time_point begin) {
    routers_.last = {};
    Settle();
    figures.ticks_ms.push_back(MillisecondsSince(begin));
    if (routers_.last != Steady::time_point()) {
      figures.routes_ms.push_back(
          std::chrono::duration<double, std::milli>(routers_.last - begin).count());
    }
  }

  void Settle() { controller_->Settle(); }

  // Events and acknowledgements, a batch a tick, until nothing follows.
  void Drain(Figures* figures = nullptr) {
    while (!engine_.events.empty() || !routers_.owed.empty() ||
           controller_->next_wake() <= clock_.now + std::chrono::seconds(60)) {
      if (engine_.events.empty() && routers_.owed.empty()) {
        clock_.now = std::max(clock_.now, controller_->next_wake());
      }
      const auto begin = Steady::now();
      for (const auto& event : std::exchange(engine_.events, {})) {
        engine_.listener().OnReplicaEvent(event);
      }
      for (const auto& [router, epoch] : std::exchange(routers_.owed, {})) {
        controller_->OnAcknowledge(router, epoch);
      }
      if (figures != nullptr) {
        Timed(*figures, begin);
      } else {
        Settle();
      }
    }
  }

  const std::filesystem::path folder_ =
      std::filesystem::temp_directory_path() / ("penstock-scale-" + std::to_string(::getpid()));
  int deployments_;
  BenchClock clock_;
  BenchEngine engine_;
  BenchRouters routers_;
  base::Random random_{1};
  std::unique_ptr<control::Store> store_;
  std::unique_ptr<control::Controller> controller_;
};

double ResidentMiB() {
  std::ifstream status("/proc/self/statm");
  long pages = 0;
  long resident = 0;
  status >> pages >> resident;
  return static_cast<double>(resident) * static_cast<double>(::sysconf(_SC_PAGESIZE)) / (1 << 20);
}

void Row(const std::string& what, const Figures& figures) {
  std::printf("| %s | %zu | %.3f | %.3f | %.3f |", what.c_str(), figures.ticks_ms.size(),
              Percentile(figures.ticks_ms, 0.5), Percentile(figures.ticks_ms, 0.99),
              Percentile(figures.ticks_ms, 1));
  if (figures.routes_ms.empty()) {
    std::printf(" - | - |\n");
  } else {
    std::printf(" %.2f | %.2f |\n", Percentile(figures.routes_ms, 0.5),
                Percentile(figures.routes_ms, 0.99));
  }
  std::fflush(stdout);
}

void Run(int rounds) {
  std::printf(
      "| what happens | ticks | tick p50, ms | p99 | max | change at all routers p50, ms | p99 |\n"
      "|---|---|---|---|---|---|---|\n");
  for (const int deployments : {125, 250, 500, 1000}) {
    const int replicas = deployments * kReplicasPerDeployment;
    Bench bench(deployments, std::max(1, replicas / kReplicasPerNode), 1);
    const std::string of = " of " + std::to_string(replicas) + " replicas, 1 router";
    Row("1 killed" + of, bench.Kill(rounds, 1));
    if (deployments != 1000) continue;
    for (const int changes : {10, 100}) {
      Row(std::to_string(changes) + " killed" + of, bench.Kill(rounds / changes + 1, changes));
    }
    // Last: what is told stays, and is decided upon again and again.
    Row("load of 1 deployment told" + of, bench.Report(rounds));
  }
  Bench bench(1000, 200, 200);
  Row("1 killed of 5000 replicas, 200 routers", bench.Kill(rounds / 4, 1));
  std::printf("\nResident memory, routers' tables included: %.0f MiB\n", ResidentMiB());
}

}  // namespace
}  // namespace penstock

int main(int argc, char** argv) {
  penstock::Run(argc > 1 ? std::atoi(argv[1]) : 1000);
  return 0;
}
