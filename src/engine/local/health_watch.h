// Checks the health of one replica: asks it, and when it does not answer, looks.
//
// What user code says of itself counts: a check_health that fails, or takes longer than the
// time-out, is a failure. A check that has not even arrived, because user code holds up the loop,
// is none as long as the replica shows signs of life (watchdog.h).
//
// Thread: the agent's loop.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "base/loop.h"
#include "base/peer.h"
#include "base/process.h"
#include "base/progress_page.h"
#include "base/random.h"
#include "engine/local/watchdog.h"

namespace penstock::engine::local {

class HealthWatch {
 public:
  struct Options {
    int pid = 0;
    std::string mark;        // of what its process starts, "NAME=value"
    bool own_check = false;  // user code has a check_health
    double period_s = 10;
    double timeout_s = 30;
    WatchdogLimits limits;
    Duration (*cpu_of)(int pid) = base::CpuTime;
  };

  // What is reported: each failure, when the replica begins to be busy, and the first check that
  // is passed after either.
  struct Report {
    Health health = Health::kHealthy;
    bool failed = false;
    std::string why;   // it failed; "" otherwise
    base::Json facts;  // for the status: "state", and of one that is held up "since_s", "doing"
  };

  // `control` and `page` are the replica's and outlive the watch. Begins at once.
  HealthWatch(base::Loop& loop, base::Random& random, base::Peer& control, base::ProgressPage& page,
              Options options, std::function<void(Report)> report);
  ~HealthWatch();

  HealthWatch(const HealthWatch&) = delete;
  HealthWatch& operator=(const HealthWatch&) = delete;

  // From the next check on.
  void SetTimes(double period_s, double timeout_s);

 private:
  void LookIn(Duration span);
  void LookSoon();
  void LookAgain();
  void Look();
  void Ask();
  void OnAnswer(const Result<base::Message>& answer);
  void OnThreads(const base::Json& facts);
  void OnHeldUp();
  void Conclude();
  void Fail(Health health, const std::string& why);
  Health JudgeLook() const;
  Pulse PulseNow() const;
  Duration CpuOfChildren() const;
  std::string Doing() const;
  base::Json Since(Health health, TimePoint since) const;

  base::Loop& loop_;
  base::Random& random_;
  base::Peer& control_;
  base::ProgressPage& page_;
  Options options_;
  std::function<void(Report)> report_;
  const std::shared_ptr<int> life_ = std::make_shared<int>();  // answers may come after it
  std::uint64_t check_ = 0;  // number of the last that was asked for
  bool open_ = false;        // nobody has answered it
  bool well_ = true;         // nothing else has been reported since
  bool busy_ = false;        // has been reported of the check that is open
  Signs signs_;
  ThreadSigns threads_;
  TimePoint looked_{};   // when it was seen to be held up
  Duration children_{};  // CPU that they had used then
  base::Loop::TimerId timer_ = 0;
};

}  // namespace penstock::engine::local
