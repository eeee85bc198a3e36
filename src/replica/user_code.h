// The port between a replica and the code that it serves.
//
// Everything here happens on the replica's loop. An implementation may use threads of its own,
// and comes back to the loop before it calls anything.
#pragma once

#include <functional>
#include <memory>
#include <nlohmann/json.hpp>

#include "penstock/status.h"

namespace penstock::replica {

class Call;

class UserCode {
 public:
  // Reports the end of a step, exactly once, now or later. A failure's message is for people:
  // a traceback. A success may carry facts for the status page (an object, or null).
  using Done = std::function<void(Result<nlohmann::json>)>;

  virtual ~UserCode() = default;

  // Loads the code, constructs it, reconfigures it if it was given a user_config, and checks its
  // health once. `assignment` is what the controller decided: docs/design/control-protocol.md.
  virtual void Initialize(const nlohmann::json& assignment, Done done) = 0;

  // Tells running code of new values: `user_config` if it is there, `rank`.
  virtual void Reconfigure(const nlohmann::json& change, Done done) = 0;

  // Asks the code whether it is well. It may tell of its threads: "threads" with "limit", "taken",
  // "queued" and "begun", as engine/local/watchdog.h has them.
  virtual void CheckHealth(Done done) = 0;

  // Runs a request. Its end is reported through the call.
  virtual void Start(std::shared_ptr<Call> call) = 0;

  // Nobody waits for the call any more. The implementation ends it, when it can, with
  // Call::Finish.
  virtual void Cancel(Call& call) = 0;

  // What the code counts and measures, in families as base/metrics.h writes them.
  virtual nlohmann::json Metrics() { return nlohmann::json::array(); }

  // The code's own farewell (`__del__`); nothing runs any more.
  virtual void Shutdown(Done done) = 0;
};

}  // namespace penstock::replica
