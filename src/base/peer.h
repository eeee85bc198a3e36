// The control protocol over one connection: calls with replies, and notices, in both directions.
//
// Spoken between the controller and everything else: drivers, command line, proxies, agents,
// processes that hold handles; and between an agent and its replicas. Message shapes are listed
// in docs/design/control-protocol.md. Replies may come in any order and at any time: a call that
// waits for an event is answered when the event happens.
//
// Thread: the loop's.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "base/connection.h"
#include "base/message.h"
#include "penstock/status.h"

namespace penstock::base {

class Peer : public std::enable_shared_from_this<Peer> {
  struct Key {  // only Open makes peers
    explicit Key() = default;
  };

 public:
  // Receives the answer to a Call exactly once: also, with kUnavailable, when the connection
  // ends first.
  using OnReply = std::function<void(Result<Message>)>;

  // Answers one incoming call, at once or later, exactly once. Copies share the one answer.
  // Harmless after the connection ended.
  using Respond = std::function<void(Result<Message>)>;

  // Handlers may read fields as if they were there and of the right type. What the JSON library
  // throws when they are not is the other side's mistake: its call is answered with
  // kInvalidArgument; after a bad notice or answer the connection ends.
  struct Callbacks {
    std::function<void(const std::string& method, Message params, Respond respond)> on_call;
    std::function<void(const std::string& method, Message params)> on_notice;
    std::function<void(const std::string& why)> on_closed;
  };

  // Largest message: deployment code with weights captured in a closure is large.
  static constexpr std::size_t kMaxMessage = std::size_t{2} << 30;

  Peer(Key, Callbacks callbacks) : callbacks_(std::move(callbacks)) {}

  // Takes over a connected, non-blocking stream socket.
  static std::shared_ptr<Peer> Open(Loop& loop, UniqueFd socket, Callbacks callbacks);

  // Asks the other side. `method` names a verb of the protocol.
  void Call(const std::string& method, Message params, OnReply on_reply);

  // Tells the other side; there is no answer.
  void Notify(const std::string& method, Message params);

  // Ends the connection; calls under way get kUnavailable, on_closed is not called.
  void Close();

  // False once the connection ended.
  bool open() const { return connection_ && connection_->open(); }

  // The connection below: for its peer's process id and backlog.
  const Connection& connection() const { return *connection_; }

 private:
  void OnFrame(const Frame& frame);
  void Handle(const FrameHead& head, Message message);
  void Break(const std::string& why);
  void OnClosed(const std::string& why);
  void FailCalls(const std::string& why);
  void Answer(std::uint32_t id, const Result<Message>& answer);

  Callbacks callbacks_;
  std::shared_ptr<Connection> connection_;
  std::map<std::uint32_t, OnReply> calls_;
  std::uint32_t next_call_ = 1;
};

}  // namespace penstock::base
