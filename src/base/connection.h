// A stream socket that carries frames, on one loop.
//
// Frames sent during a turn leave in one system call at its end; a large payload goes to the
// kernel at once and is copied only as far as the kernel does not take it. Memory is bounded by
// the protocols above: streams have credit, the control protocol has few messages.
//
// Thread: the loop's.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/fd.h"
#include "base/frame.h"
#include "base/loop.h"
#include "base/protocol.h"
#include "base/shared_slots.h"

namespace penstock::base {

class Connection final : public FdHandler,
                         public TurnEndHandler,
                         public std::enable_shared_from_this<Connection> {
  // Only Open makes connections: one that is not shared could not survive its own callbacks.
  struct Key {
    explicit Key() = default;
  };

 public:
  // What the owner of a connection is told. Each may call Close, and may drop its reference.
  struct Callbacks {
    std::function<void(const Frame&)> on_frame;
    // Once, when the peer or an error ended it; not after Close. `why` is for people.
    std::function<void(const std::string& why)> on_closed;
  };

  // Takes over a connected, non-blocking stream socket. Frames with a longer payload than
  // `max_payload` bytes end the connection.
  static std::shared_ptr<Connection> Open(Loop& loop, UniqueFd socket, std::size_t max_payload,
                                          Callbacks callbacks);

  Connection(Key, Loop& loop, UniqueFd socket, std::size_t max_payload, Callbacks callbacks);
  ~Connection() override;

  // For data connections: sends hello, and with it the memory that this end shares with the peer
  // from now on, if the kernel has any. Pre: nothing was sent yet.
  void Greet(FrameHead head, std::string_view payload);

  // Size to which bodies are best cut, in bytes.
  std::size_t piece_size() const { return pool_ ? kMaxSlot : kBodyPiece; }

  // Queues a frame whose payload is the pieces one after another; `head.length` is set here.
  // After the connection ended it is dropped: on_closed has said so already. Where memory is
  // shared, a large `more` goes through it and arrives as Frame::shared.
  void Send(FrameHead head, std::string_view payload = {}, std::string_view more = {});

  // As Send, without a copy: `keep` keeps the bytes of `more` alive until they have been sent.
  void SendKept(FrameHead head, std::string_view payload, std::string_view more,
                std::shared_ptr<const void> keep);

  // Ends it now; what was queued is sent if the socket takes it. No callback follows.
  void Close();

  // Bytes queued and not yet taken by the kernel.
  std::size_t unsent() const { return unsent_; }

  // False after Close or on_closed.
  bool open() const { return static_cast<bool>(socket_); }

  // Process id of the peer, from the kernel; 0 when it does not say.
  int peer_pid() const;

  void OnEvents(std::uint32_t events) override;
  void OnTurnEnd() override;

 private:
  bool Receive();
  ssize_t ReceiveFirst();
  bool HandleFrames();
  bool Handle(Frame frame);
  bool SendShared(FrameHead head, std::string_view payload, std::string_view more);
  void OnRelease(std::uint32_t slot);
  void TrimWhenIdle();
  // A stretch of bytes to send: our own, or kept alive by somebody else.
  struct Segment {
    std::string own;
    std::string_view kept;
    std::shared_ptr<const void> keep;
    std::string_view bytes() const { return keep ? kept : std::string_view(own); }
  };

  std::string& Tail();
  void Transmit(std::string_view head, std::string_view payload, std::string_view more);
  bool Write(std::string_view first, std::string_view second, std::string_view third,
             std::size_t& taken);
  void Drop(std::size_t sent);
  bool TurnIsLong();
  void WaitForRoom();
  void Flush();
  void Fail(const std::string& why);

  Loop& loop_;
  UniqueFd socket_;
  std::size_t max_payload_;
  Callbacks callbacks_;
  std::vector<char> in_;
  std::size_t in_end_ = 0;  // in_[0, in_end_) has been received and not yet handled
  std::deque<Segment> out_;
  std::size_t sent_ = 0;    // of the first segment, bytes that the kernel has taken
  std::size_t unsent_ = 0;  // bytes in out_, less sent_
  bool want_write_ = false;
  std::uint32_t frames_ = 0;             // sent, ever
  TimePoint flushed_{};                  // because the turn was long
  bool greeted_ = false;                 // the peer's first bytes may bring its memory
  std::unique_ptr<SlotPool> pool_;       // ours, for the peer to read
  std::unique_ptr<SlotView> peer_pool_;  // the peer's
  bool pool_used_ = false;               // since the last look at whether it is idle
  Loop::TimerId trim_ = 0;
};

}  // namespace penstock::base
