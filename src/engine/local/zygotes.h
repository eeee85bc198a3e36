// The zygotes of a node: one for each interpreter and environment that replicas are forked from.
//
// A zygote is started when it is first needed, and again when it is needed after its end. Of more
// than a few, the one that was needed longest ago goes. One that cannot be started is not tried
// again for a while: replicas then have processes of their own, and say why.
//
// Thread: the agent's loop.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/loop.h"
#include "engine/local/node_context.h"
#include "engine/local/zygote.h"
#include "engine/local/zygote_key.h"

namespace penstock::engine::local {

class Zygotes {
 public:
  // `changed` is called when a fork was answered, and when a zygote is gone.
  Zygotes(base::Loop& loop, const NodeContext& context, std::function<void()> changed);

  Zygotes(const Zygotes&) = delete;
  Zygotes& operator=(const Zygotes&) = delete;

  // Starts a zygote that will be needed soon.
  void WarmUp(const ZygoteKey& key);

  // Has a replica's process forked. `done` is called later, or now when there is no zygote.
  void Fork(const ZygoteKey& key, ForkRequest request, OnForked done);

  // True while a child of this process may exist that nobody has been told of.
  bool forking() const;

  // Of those that run.
  std::vector<int> pids() const;

  // Kills them all; `changed` is called when each is gone. No other is started.
  void Stop();

 private:
  struct Entry {
    std::shared_ptr<Zygote> zygote;
    TimePoint used{};
    Duration delay{};  // between tries; zero after a success
    TimePoint not_before{};
  };

  Status Ensure(const ZygoteKey& key, Entry& entry);
  SpawnOptions Options(const ZygoteKey& key) const;
  void Failed(Entry& entry) const;
  void OnGone(const ZygoteKey& key, const Zygote* zygote, const std::string& how);
  void MakeRoom();

  base::Loop& loop_;
  const NodeContext& context_;
  std::function<void()> changed_;
  std::map<ZygoteKey, Entry> entries_;
  std::vector<std::shared_ptr<Zygote>> leaving_;  // replaced, but not gone yet
  bool stopping_ = false;
};

}  // namespace penstock::engine::local
