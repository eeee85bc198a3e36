#include "base/control_link.h"

#include <algorithm>
#include <utility>

#include "base/socket.h"

namespace penstock::base {
namespace {

constexpr Duration kFirstRedial = std::chrono::milliseconds(5);
constexpr Duration kLastRedial = std::chrono::milliseconds(500);

}  // namespace

ControlLink::ControlLink(Loop& loop, std::string socket_path, Callbacks callbacks)
    : loop_(loop), path_(std::move(socket_path)), callbacks_(std::move(callbacks)) {
  delay_ = kFirstRedial;
  timer_ = loop_.After(Duration::zero(), [this] { Dial(); });
}

ControlLink::~ControlLink() {
  if (timer_ != 0) loop_.Cancel(timer_);
  if (peer_) peer_->Close();
}

void ControlLink::Dial() {
  timer_ = 0;
  auto socket = ConnectUnix(path_);
  if (!socket.ok()) {
    Redial();
    return;
  }
  delay_ = kFirstRedial;
  peer_ = Peer::Open(loop_, *std::move(socket),
                     {.on_call = callbacks_.on_call,
                      .on_notice = callbacks_.on_notice,
                      .on_closed = [this](const std::string&) {
                        if (callbacks_.on_down) callbacks_.on_down();
                        Redial();
                      }});
  if (callbacks_.on_up) callbacks_.on_up();
}

void ControlLink::Redial() {
  timer_ = loop_.After(delay_, [this] { Dial(); });
  delay_ = std::min(2 * delay_, kLastRedial);
}

void ControlLink::Call(const std::string& method, Message params, Peer::OnReply on_reply) {
  if (!up()) {
    on_reply(Status(Code::kUnavailable, "the controller does not answer at '" + path_ + "'"));
    return;
  }
  peer_->Call(method, std::move(params), std::move(on_reply));
}

void ControlLink::Notify(const std::string& method, Message params) {
  if (up()) peer_->Notify(method, std::move(params));
}

}  // namespace penstock::base
