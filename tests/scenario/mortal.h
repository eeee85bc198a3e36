// The controller's ports, behind which it can die: from some call on nothing reaches the store,
// the engine or the routers any more.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "control/route_book.h"
#include "control/store.h"
#include "engine/engine.h"

namespace penstock::scenario {

// How many points a controller still passes. There is one before each call, and after each commit.
class Life {
 public:
  void EndsAfter(int points) { left_ = points; }
  void Renew() { left_ = kForever; }
  bool over() const { return left_ < 0; }

  // Passes a point; false when it is dead.
  bool Pass() {
    if (left_ != kForever && left_ >= 0) --left_;
    return !over();
  }

 private:
  static constexpr int kForever = 1 << 30;
  int left_ = kForever;
};

class MortalStore final : public control::Store {
 public:
  MortalStore(Life& life, control::Store& store) : life_(life), store_(store) {}
  Status Commit(const std::vector<control::Write>& writes) override {
    if (!life_.Pass()) return {};
    const Status status = store_.Commit(writes);
    life_.Pass();
    return status;
  }
  Result<std::map<std::string, std::string>> Load() override { return store_.Load(); }

 private:
  Life& life_;
  control::Store& store_;
};

class MortalEngine final : public engine::Engine {
 public:
  MortalEngine(Life& life, engine::Engine& engine) : life_(life), engine_(engine) {}
  void SetListener(engine::EngineListener& listener) override { engine_.SetListener(listener); }
  void Start(const engine::StartOrder& order) override {
    if (life_.Pass()) engine_.Start(order);
  }
  void Reconfigure(const engine::ReconfigureOrder& order) override {
    if (life_.Pass()) engine_.Reconfigure(order);
  }
  void Stop(const engine::StopOrder& order) override {
    if (life_.Pass()) engine_.Stop(order);
  }
  void StartProxy(const NodeId& node, const engine::ProxyOrder& order,
                  std::function<void(Result<std::string>)> done) override {
    if (life_.Pass()) engine_.StartProxy(node, order, std::move(done));
  }
  void StopProxy(const NodeId& node, std::function<void(Status)> done) override {
    if (life_.Pass()) engine_.StopProxy(node, std::move(done));
  }
  void RunCodeHosts(const NodeId& node, const std::vector<engine::CodeHostOrder>& orders) override {
    if (life_.Pass()) engine_.RunCodeHosts(node, orders);
  }
  void StopNode(const NodeId& node) override {
    if (life_.Pass()) engine_.StopNode(node);
  }

 private:
  Life& life_;
  engine::Engine& engine_;
};

class MortalPublisher final : public control::RoutePublisher {
 public:
  MortalPublisher(Life& life, control::RoutePublisher& publisher)
      : life_(life), publisher_(publisher) {}
  void Publish(control::RouterId router, const route::RouteUpdate& update) override {
    if (life_.Pass()) publisher_.Publish(router, update);
  }

 private:
  Life& life_;
  control::RoutePublisher& publisher_;
};

}  // namespace penstock::scenario
