// One request between a client's connection and a replica: what is the same in every protocol.
//
// Its body goes on as the replica takes it, and the replica may send as much as the client takes.
// A deadline, the client's leaving and the line in the log are kept here. What the bytes mean, and
// what is said when they do not come, is for the protocol above.
//
// Thread: the proxy's loop.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/loop.h"
#include "proxy/request_log.h"
#include "route/exchange.h"

namespace penstock::proxy {

class Server;

class Forwarding : protected route::ReplySink {
 public:
  // `server` outlives it.
  Forwarding(Server& server, RequestLog::Protocol protocol)
      : server_(server), protocol_(protocol) {}
  ~Forwarding() override { Drop(); }

  Forwarding(const Forwarding&) = delete;
  Forwarding& operator=(const Forwarding&) = delete;

  // Sends the request on, with what has come of its body: all of it, or more is to come. The
  // protocol may be told of a failure before this returns.
  void Forward();

  // Sends on what waits of the body, as far as the replica takes it.
  void Pump();

  // Lets the replica send as much of the reply again as the client took; for when little of it is
  // unsent.
  void Grant();

  // Nobody waits any more: the request is cancelled, or runs to its end if it was to.
  void Drop();

  // The client left: that is what the log says of the request, if it was under way. Not Drop.
  void NoteLeft(int status, std::string_view status_name = {});

  // True while its reply is awaited or under way.
  bool under_way() const { return stage_ == Stage::kForwarded || stage_ == Stage::kReplying; }

  // True while more of its body may be wanted.
  bool open() const { return stage_ == Stage::kReceiving || under_way(); }

  // True while it has not been sent on.
  bool receiving() const { return stage_ == Stage::kReceiving; }

  // True once the client has got a part of the reply.
  bool replying() const { return stage_ == Stage::kReplying; }

  // True once the whole body has come.
  bool body_ended() const { return body_ended_; }

  // True when all of the body that came has been sent on, or there is nobody to send it to.
  bool body_gone() const { return !exchange_ || body_.empty(); }

  // Bytes of the body that wait here.
  std::size_t backlog() const { return body_.size(); }

  // As the client gave it, or made here.
  const std::string& id() const { return id_; }

 protected:
  enum class Stage {
    kNone,
    kReceiving,  // its head is in; its body is collected, or thrown away
    kForwarded,  // a replica (or a queue) has it
    kReplying,   // the reply has begun
    kOver,
  };

  // Forgets the request before.
  void Reset();

  // Adds a piece of the body, or sends it straight on.
  void AddBody(std::string_view piece);

  // No more of the body comes than what is here.
  void SetBodyEnded() { body_ended_ = true; }

  // The reply is complete: a line in the log.
  void Finish(int status, std::string_view status_name = {});

  // Ends the exchange with the replica, if there is one.
  void Cancel();

  void OnCredit(std::uint32_t bytes) override;

  // `bytes` of the body went on or were thrown away.
  virtual void OnBodyMoved(std::size_t bytes) = 0;

  // The time is up; the exchange has been cancelled.
  virtual void OnDeadline() = 0;

  Server& server_;
  Stage stage_ = Stage::kNone;
  std::string id_;
  std::string method_;   // for the log
  std::string route_;    // prefix, or the path when none matched
  std::string payload_;  // encoded head for the replica
  std::string body_;     // received and not passed on yet
  route::DeploymentQueue* queue_ = nullptr;
  std::optional<double> timeout_s_;  // > 0; absent: none
  bool outlives_client_ = false;     // goes on when the client has gone
  bool quiet_ = false;               // the proxy's own: counted, but not for the log
  std::uint32_t owed_ = 0;           // bytes of reply not yet credited to the replica
  std::shared_ptr<route::Exchange> exchange_;

 private:
  void Log(int status, std::string_view status_name);
  void EndCounted();

  const RequestLog::Protocol protocol_;
  bool counted_ = false;  // among what is under way
  TimePoint started_{};
  std::uint32_t credit_ = 0;  // bytes of body that the replica takes
  bool body_ended_ = false;
  bool end_sent_ = false;  // the replica knows that it ended
  base::Loop::TimerId deadline_ = 0;
};

}  // namespace penstock::proxy
