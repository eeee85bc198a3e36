// Custom request routers and autoscaling policies on this node: Python processes that are kept
// running.
//
// Thread: the agent's loop.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/loop.h"
#include "engine/engine.h"
#include "engine/local/replica_process.h"
#include "engine/local/supervisor.h"

namespace penstock::engine::local {

class CodeHosts {
 public:
  // `context` outlives it.
  CodeHosts(base::Loop& loop, const NodeContext& context) : loop_(loop), context_(context) {}

  // These run from now on, and no others; one with the socket of one that runs is that one. The
  // first that cannot be started, after the others were; it is not tried again by itself.
  Status Run(const std::vector<CodeHostOrder>& orders);

  // Ends all of them; `done` is called when the last has ended.
  void StopAll(std::function<void()> done);

  // True when none runs, nor is about to end.
  bool empty() const { return running_.empty() && ending_.empty(); }

  std::vector<int> pids() const;

 private:
  Status Start(const CodeHostOrder& order);
  void Stop(const std::string& socket);

  base::Loop& loop_;
  const NodeContext& context_;
  std::map<std::string, std::unique_ptr<Supervisor>> running_;  // by socket
  std::map<Supervisor*, std::unique_ptr<Supervisor>> ending_;
  std::function<void()> on_empty_;
};

}  // namespace penstock::engine::local
