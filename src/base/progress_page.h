// Signs of life of a replica, in memory that its agent reads without asking: a loop that user
// code holds up cannot answer.
//
// The agent makes the page, passes the descriptor on, and both map it. The replica writes: turns,
// requests and checks one thread at a time (the loop's, or one that a lock keeps apart from it),
// the answer of Explain the thread that waits for it. The agent only reads, and asks.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/fd.h"
#include "penstock/status.h"
#include "penstock/units.h"

namespace penstock::base {

class ProgressPage {
 public:
  // kUnavailable when the kernel has no memory to share.
  static Result<std::unique_ptr<ProgressPage>> Create();
  // The other end's. kInvalidArgument when it is no page, or could shrink under its reader.
  static Result<std::unique_ptr<ProgressPage>> Open(UniqueFd fd);

  struct Fields;
  ProgressPage(UniqueFd fd, Fields* fields) : fd_(std::move(fd)), fields_(fields) {}
  ~ProgressPage();
  ProgressPage(const ProgressPage&) = delete;
  ProgressPage& operator=(const ProgressPage&) = delete;

  // What the other end maps: borrowed, and a descriptor of its own (none when there are too many).
  const UniqueFd& fd() const { return fd_; }
  UniqueFd Share() const;

  // ---- the replica ----

  void NoteTurn(TimePoint now);                         // the loop begins one
  void NoteRequests(std::uint64_t begun);               // so many have begun
  void NoteAnswer();                                    // one more was answered
  void NoteCheck(std::uint64_t number, TimePoint now);  // this health check has arrived

  // Waits until the agent asks what the replica does; false when StopWaiting was called. One
  // thread.
  bool WaitUntilAsked();
  // The answer; only its beginning when it is long.
  void Explain(std::string_view text);
  // Ends the wait of another thread, for good.
  void StopWaiting();

  // ---- the agent ----

  struct Seen {
    std::uint64_t turns = 0;
    TimePoint last_turn{};
    std::uint64_t begun = 0;
    std::uint64_t answered = 0;
    std::uint64_t check = 0;  // the last that has arrived
    TimePoint check_at{};
  };
  Seen Read() const;

  // Asks what it does; the answer is there soon after, or never.
  void Ask();
  // True once a thread of the replica's has heard the last Ask.
  bool heard() const;
  // What it said to the last Ask; "" when it has not. Bytes of another process: any.
  std::string Explanation() const;

 private:
  UniqueFd fd_;
  Fields* fields_;
};

}  // namespace penstock::base
