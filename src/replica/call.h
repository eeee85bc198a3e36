// One admitted request inside a replica.
//
// Thread: the replica's loop.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "base/connection.h"
#include "base/heads.h"

namespace penstock::replica {

class Runtime;

class Call : public std::enable_shared_from_this<Call> {
 public:
  // `frame` is the request and has been parsed once without error; its stream on `connection`
  // carries the reply. `runtime` outlives the call, which began at `began`.
  Call(Runtime& runtime, std::shared_ptr<base::Connection> connection, const base::Frame& frame,
       TimePoint began);

  // Turns a call that only held a slot (kHold) into the request that its body is. False when that
  // is none. Pre: the body has ended. The request begins at `now`.
  bool Adopt(TimePoint now);

  // True while it only holds a slot: user code does not know of it.
  bool held() const { return (head_.flags & base::kHold) != 0; }

  // Method, path, headers, ...; valid as long as the call, but for Adopt.
  const base::RequestHead& head() const { return head_; }

  // Takes what has arrived of the body, and lets the router send more, in steps of kCreditStep.
  std::string TakeBody();

  // Has the body gathered whole: on_body is called once, when all of it is there. What has not
  // been taken goes to `sink`, piece by piece, or is kept for TakeBody when there is none.
  using BodySink = std::function<void(std::string_view piece)>;
  void CollectBody(BodySink sink = nullptr);

  // Bytes that the sink of CollectBody was given.
  std::size_t collected() const { return collected_; }

  // True when no more of the body comes than TakeBody returns.
  bool body_ended() const { return body_ended_; }

  // Called when more of the body arrived or it ended, and when the call was cancelled.
  void SetOnBody(std::function<void()> on_body) { on_body_ = std::move(on_body); }

  // What keeps the bytes of a body alive after the call that sends them; nullptr: they are copied.
  using Keep = std::shared_ptr<const void>;

  // Starts the reply to a kHttp request. With `end`, `body` is all of it.
  void Reply(const base::ReplyHead& head, std::string_view body, bool end, const Keep& keep = {});

  // The reply to a kCall request: a result, or with `failure` an exception. Not for streams.
  void Reply(std::string_view result, bool failure, const Keep& keep = {});

  // A further piece of a body, or an item of a stream. A stream of items (kStreamReply) is made
  // of Send alone; with `failure` the piece is the exception that ended it.
  void Send(std::string_view piece, bool end, bool failure = false, const Keep& keep = {});

  // False when the router should consume first. Sending is allowed all the same; what is sent
  // is kept in memory.
  bool writable() const { return credit_ > 0 && unsent_.empty(); }

  // Called when writable() turns true, and when the call was cancelled.
  void SetOnWritable(std::function<void()> on_writable) { on_writable_ = std::move(on_writable); }

  // Nobody waits for the reply: replies and pieces are dropped.
  bool cancelled() const { return cancelled_; }

  // User code raised: the type of its exception, for logs and counts. The reply is the caller's.
  void NoteFailure(std::string exception_type) { failure_ = std::move(exception_type); }

  // The route as the application knows it, once it has been found: "/items/{id}".
  void SetRoute(std::string route) { route_ = std::move(route); }

  // How a WebSocket was closed.
  void SetStatus(int status) { status_ = status; }

  // For logs and counts.
  TimePoint began() const { return began_; }
  int status() const { return status_; }  // of HTTP, or the code of a WebSocket; 0 for none
  std::string_view failure() const { return failure_; }  // "" when nothing was raised
  std::string_view route() const { return route_.empty() ? head_.route : route_; }

  // True once a reply was started.
  bool replied() const { return replied_; }

  // True once user code has given all of the reply, or there will be none. What the router has
  // not asked for yet is sent later.
  bool finished() const { return finished_; }

  // Ends the call without a (further) reply: after a cancellation. Idempotent.
  void Finish();

  // For the runtime.
  void OnBody(std::string_view piece, bool end);
  void OnCredit(std::uint32_t bytes);
  void OnCancel();
  std::uint32_t stream() const { return stream_; }

 private:
  // A piece of the reply that waits for credit.
  struct Piece {
    std::string own;
    std::string_view kept;
    Keep keep;
    std::uint8_t flags;  // of its last frame
    std::string_view bytes() const { return keep ? kept : std::string_view(own); }
  };

  void SendFrames(base::FrameKind first, std::string_view head, std::string_view body, bool end,
                  bool failure, const Keep& keep);
  std::size_t SendSome(base::FrameKind first, std::string_view head, std::string_view body,
                       std::uint8_t flags, const Keep& keep);
  void SendUnsent();
  void Leave();
  void Credit(std::size_t bytes);
  void Collect(std::string_view piece);

  Runtime& runtime_;
  std::shared_ptr<base::Connection> connection_;
  std::uint32_t stream_;
  std::string payload_;  // head_ points into it
  base::RequestHead head_;
  std::string body_;
  bool body_ended_;
  std::uint32_t owed_ = 0;  // bytes of the body taken and not yet credited
  bool collecting_ = false;
  BodySink body_sink_;
  std::size_t collected_ = 0;
  bool replied_ = false;
  bool cancelled_ = false;
  bool finished_ = false;
  std::int64_t credit_;
  std::deque<Piece> unsent_;
  TimePoint began_;
  int status_ = 0;
  std::string failure_;
  std::string route_;
  std::function<void()> on_body_;
  std::function<void()> on_writable_;
};

}  // namespace penstock::replica
