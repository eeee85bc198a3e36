// One thread's event loop: descriptors, timers, posted work, and one flush at the end of a turn.
//
// A turn is: wait, handle everything that is ready, run what was posted and what is due, then
// call every turn-end handler once. Writers queue during the turn and send at its end, which is
// what makes one system call carry the frames of many requests (docs/design/dataplane.md).
//
// The loop is itself a descriptor that turns readable when it has something to do, so another
// loop (asyncio in a Python replica) can drive it: watch fd(), call RunOnce(Duration::zero()).
//
// Thread: everything but Post and Stop belongs to the thread that runs the loop.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/fd.h"
#include "base/guarded.h"
#include "penstock/status.h"
#include "penstock/units.h"

namespace penstock::base {

class ProgressPage;

// Called when a watched descriptor is ready. `events` are EPOLLIN, EPOLLOUT, EPOLLHUP, ...
class FdHandler {
 public:
  virtual ~FdHandler() = default;
  // May watch, unwatch and close anything, its own descriptor too.
  virtual void OnEvents(std::uint32_t events) = 0;
};

// Called once at the end of the turn in which it was asked for.
class TurnEndHandler {
 public:
  virtual ~TurnEndHandler() = default;
  // May ask for another call, which comes in the same turn.
  virtual void OnTurnEnd() = 0;

 private:
  friend class Loop;
  bool asked_ = false;  // in the loop's list; a search per frame would be quadratic in a turn
};

class Loop {
  struct Key {  // only Create makes loops
    explicit Key() = default;
  };

 public:
  using Task = std::function<void()>;
  using TimerId = std::uint64_t;

  // kInternal when the kernel refuses a descriptor.
  static Result<std::unique_ptr<Loop>> Create();

  explicit Loop(Key);
  ~Loop();
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  // Calls handler.OnEvents while any of `events` (EPOLLIN, EPOLLOUT) holds. The handler is
  // borrowed until Unwatch; the descriptor must stay open as long.
  void Watch(int fd, std::uint32_t events, FdHandler& handler);

  // Changes the events of a watched descriptor.
  void Rewatch(int fd, std::uint32_t events, FdHandler& handler);

  // After this the handler is not called again, not even for what this turn already saw.
  void Unwatch(int fd, const FdHandler& handler);

  // Runs `task` once at `when` or soon after. Ids are never reused.
  TimerId At(TimePoint when, Task task);

  // Short for At(Now() + delay, task).
  TimerId After(Duration delay, Task task) { return At(Now() + delay, std::move(task)); }

  // Forgets a timer; one that ran already is ignored.
  void Cancel(TimerId id);

  // Runs `task` on the loop's thread, in order of posting. Any thread.
  void Post(Task task);

  // Has handler.OnTurnEnd() called at the end of this turn; outside a turn, soon (see
  // SetOutsideTurnHook). Asking twice before it ran is asking once.
  void AtTurnEnd(TurnEndHandler& handler);

  // Calls now what was asked for outside a turn, instead of in a turn of its own. Inside one there
  // is nothing to do. On another thread only where a lock keeps it and the loop's apart.
  void Flush();

  // Withdraws the request; needed before a handler is destroyed.
  void ForgetTurnEnd(TurnEndHandler& handler);

  // Keeps `object` alive until the turn ends: for objects that decide inside a callback that
  // they are done.
  void Dispose(std::shared_ptr<void> object);

  // Called when turn-end work is asked for outside a turn. An embedding loop schedules RunOnce
  // from it; without a hook the loop wakes itself.
  void SetOutsideTurnHook(Task hook) { outside_turn_ = std::move(hook); }

  // Notes each turn there from now on; nullptr: no longer. It outlives the loop, or that.
  void NoteTurnsIn(ProgressPage* page) { page_ = page; }

  // One turn; waits at most `wait` for something to do.
  void RunOnce(Duration wait);

  // Turns until Stop().
  void Run();

  // Ends Run() after the current turn. Any thread.
  void Stop();

  // Readable when RunOnce has something to do. Borrowed.
  int fd() const { return epoll_.get(); }

  // The time at the start of the turn: one reading serves all of it.
  TimePoint Now() const { return in_turn_ ? now_ : clock_.Now(); }

  // The clock behind Now().
  const Clock& clock() const { return clock_; }

 private:
  class Drain;  // empties a counter descriptor

  void Wake() const;
  void Dispatch(int count);
  void RunPosted();
  void RunTimers();
  void EndTurn();
  void ArmTimer();

  SystemClock clock_;
  TimePoint now_{};
  UniqueFd epoll_;
  UniqueFd wake_;
  UniqueFd timer_;
  std::unique_ptr<Drain> drain_wake_;
  std::unique_ptr<Drain> drain_timer_;
  std::vector<std::pair<FdHandler*, std::uint32_t>> ready_;  // what this turn saw
  std::map<std::pair<TimePoint, TimerId>, Task> timers_;
  std::map<TimerId, TimePoint> timer_times_;
  TimerId next_timer_ = 1;
  TimePoint armed_ = kNever;
  Guarded<std::vector<Task>> posted_;
  std::vector<TurnEndHandler*> turn_end_;
  std::vector<std::shared_ptr<void>> disposed_;
  Task outside_turn_;
  ProgressPage* page_ = nullptr;
  bool in_turn_ = false;
  bool running_ = false;
};

}  // namespace penstock::base
