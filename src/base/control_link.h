// A process's connection to the controller: dialled, kept, and dialled again when it breaks.
//
// A controller may be replaced while everything else goes on; whoever speaks to it does so
// through this, and says what it is and what it wants again each time the link comes up.
//
// Thread: the loop's.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/loop.h"
#include "base/peer.h"

namespace penstock::base {

class ControlLink {
 public:
  struct Callbacks {
    std::function<void()> on_up;  // connected; say hello. At first and after each break
    std::function<void(const std::string& method, Message params)> on_notice;
    std::function<void(const std::string& method, Message params, Peer::Respond)> on_call;
    std::function<void()> on_down;
  };

  // Dials `socket_path` in the next turn, and every little while until it answers.
  ControlLink(Loop& loop, std::string socket_path, Callbacks callbacks);
  ~ControlLink();

  ControlLink(const ControlLink&) = delete;
  ControlLink& operator=(const ControlLink&) = delete;

  // As Peer::Call; kUnavailable at once while the link is down.
  void Call(const std::string& method, Message params, Peer::OnReply on_reply);

  // As Peer::Notify; dropped while the link is down.
  void Notify(const std::string& method, Message params);

  // True while connected.
  bool up() const { return peer_ && peer_->open(); }

 private:
  void Dial();
  void Redial();

  Loop& loop_;
  std::string path_;
  Callbacks callbacks_;
  std::shared_ptr<Peer> peer_;
  Loop::TimerId timer_ = 0;
  Duration delay_{};
};

}  // namespace penstock::base
