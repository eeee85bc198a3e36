// A random history: what users, nodes, replicas, routers and the controller do or suffer, in an
// order that a seed decides. Then everything calms down, and time passes.
#pragma once

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <set>
#include <string>
#include <vector>

#include "base/random.h"
#include "scenario/invariants.h"
#include "scenario/sim.h"

namespace penstock::scenario {

class History {
 public:
  explicit History(std::uint64_t seed);

  // One thing happens, and some time passes. Returns what is broken then.
  std::vector<std::string> Step();

  // No more faults; whoever was away comes back. Returns what is broken once all is at rest.
  std::vector<std::string> Rest();

  // What has happened so far, one line each.
  const std::vector<std::string>& told() const { return told_; }

 private:
  std::uint64_t Below(std::uint64_t n) { return dice_.Next() % n; }
  bool Chance(int percent) { return Below(100) < static_cast<std::uint64_t>(percent); }
  template <class T>
  T OneOf(std::initializer_list<T> values) {
    return values.begin()[Below(values.size())];
  }
  void Tell(const std::string& what);

  nlohmann::json RandomOptions();
  void Deploy();
  void Delete();
  void Scale();
  void ChangeBehaviour();
  void Crash();
  void FailChecks();
  void RestartController();
  void ReturnOneByOne();
  void DieSoon();
  void Ask(const std::function<void()>& what);
  void BreakConnection();
  void Reconnect();
  void AddOrKillNode();
  void Drain();
  void JumpClock();
  void ChangeRouters();
  void ReportLoad();
  std::vector<ReplicaId> Processes() const;
  std::vector<std::string> Run(Duration span);
  void MayFail(const DeploymentId& id);

  base::Random dice_;
  Sim sim_;
  Wishes wishes_;
  std::vector<std::string> told_;
  int version_ = 0;
  int nodes_ = 0;
  bool drains_ = false;  // this history drains nodes
};

}  // namespace penstock::scenario
