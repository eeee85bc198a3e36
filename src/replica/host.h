// Carries out the agent's orders for one replica: initialise, reconfigure, check, drain, stop.
//
// The agent holds the other end of the control socket. When it is gone there is nobody left who
// would reap this process, so the host asks to end.
//
// Thread: the replica's loop.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/fd.h"
#include "base/loop.h"
#include "base/peer.h"
#include "base/progress_page.h"
#include "replica/runtime.h"
#include "replica/user_code.h"

namespace penstock::replica {

class Host {
 public:
  // `control`: connected to the agent. `page`: where the agent looks for signs of life, or
  // nullptr. `on_exit`: called once when the process should end. `user_code` outlives the host.
  Host(base::Loop& loop, base::UniqueFd control, std::unique_ptr<base::ProgressPage> page,
       UserCode& user_code, std::function<void()> on_exit);
  ~Host();

  // The page, or nullptr.
  base::ProgressPage* page() { return page_.get(); }

  // The data plane, for tests.
  Runtime& runtime() { return runtime_; }

 private:
  void OnCall(const std::string& method, const base::Json& params, base::Peer::Respond respond);
  void Initialize(const base::Json& params, base::Peer::Respond respond);
  void Reconfigure(const base::Json& params, base::Peer::Respond respond);

  void CheckHealth(const base::Json& params, base::Peer::Respond respond);

  base::Loop& loop_;
  UserCode& user_code_;
  std::unique_ptr<base::ProgressPage> page_;
  Runtime runtime_;
  std::shared_ptr<base::Peer> agent_;
  std::function<void()> on_exit_;
};

}  // namespace penstock::replica
