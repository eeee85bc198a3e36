#include "base/connection.h"

#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace penstock::base {
namespace {

constexpr std::size_t kReadSize = 64 << 10;
// Reads per turn and connection: a firehose must not starve its neighbours.
constexpr int kReadsPerTurn = 8;
// Beyond this a turn's frames go out at once rather than grow further.
constexpr std::size_t kFlushSize = 1 << 20;

}  // namespace

std::shared_ptr<Connection> Connection::Open(Loop& loop, UniqueFd socket, std::size_t max_payload,
                                             Callbacks callbacks) {
  auto connection = std::make_shared<Connection>(Key(), loop, std::move(socket), max_payload,
                                                 std::move(callbacks));
  loop.Watch(connection->socket_.get(), EPOLLIN, *connection);
  return connection;
}

Connection::Connection(Key, Loop& loop, UniqueFd socket, std::size_t max_payload,
                       Callbacks callbacks)
    : loop_(loop),
      socket_(std::move(socket)),
      max_payload_(max_payload),
      callbacks_(std::move(callbacks)),
      in_(kReadSize) {}

Connection::~Connection() { Close(); }

void Connection::Send(FrameHead head, std::string_view payload, std::string_view more) {
  if (!socket_) return;
  head.length = static_cast<std::uint32_t>(payload.size() + more.size());
  AppendHead(out_, head);
  out_.append(payload);
  out_.append(more);
  if (unsent() >= kFlushSize && !want_write_) {
    Flush();
  } else {
    loop_.AtTurnEnd(*this);
  }
}

void Connection::OnTurnEnd() {
  if (socket_ && !want_write_) Flush();
}

void Connection::Flush() {
  while (sent_ < out_.size()) {
    const auto n = ::send(socket_.get(), out_.data() + sent_, out_.size() - sent_, MSG_NOSIGNAL);
    if (n < 0) {
      if (errno == EINTR) continue;
      if (errno != EAGAIN) break;  // the reading side reports the end
      if (!std::exchange(want_write_, true)) {
        loop_.Rewatch(socket_.get(), EPOLLIN | EPOLLOUT, *this);
      }
      return;
    }
    sent_ += static_cast<std::size_t>(n);
  }
  out_.clear();
  sent_ = 0;
  if (std::exchange(want_write_, false)) loop_.Rewatch(socket_.get(), EPOLLIN, *this);
}

void Connection::OnEvents(std::uint32_t events) {
  const auto self = shared_from_this();  // a callback may drop the owner's reference
  if ((events & EPOLLOUT) != 0) Flush();
  if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) == 0) return;
  for (int i = 0; i < kReadsPerTurn; ++i) {
    if (!Receive() || !HandleFrames()) return;
  }
}

// True when bytes came in and more may be waiting.
bool Connection::Receive() {
  while (true) {
    const auto n = ::recv(socket_.get(), in_.data() + in_end_, in_.size() - in_end_, 0);
    if (n > 0) {
      in_end_ += static_cast<std::size_t>(n);
      return true;
    }
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) return false;
    Fail(n == 0 ? "the peer closed the connection" : std::strerror(errno));
    return false;
  }
}

// True while the connection is open and its buffer was full, so that reading again may pay.
bool Connection::HandleFrames() {
  const bool was_full = in_end_ == in_.size();
  std::size_t at = 0;
  while (at < in_end_) {
    const auto parsed = ParseFrame({in_.data() + at, in_end_ - at}, max_payload_);
    if (parsed.state == ParsedFrame::State::kBroken) {
      Fail(parsed.error);
      return false;
    }
    if (parsed.state == ParsedFrame::State::kIncomplete) {
      std::copy(in_.data() + at, in_.data() + in_end_, in_.data());
      in_end_ -= at;
      at = 0;
      if (parsed.size > in_.size()) in_.resize(parsed.size);
      return was_full;
    }
    callbacks_.on_frame(parsed.frame);
    if (!socket_) return false;
    at += parsed.size;
  }
  in_end_ = 0;
  if (in_.size() > kReadSize) {  // one large frame must not pin its memory
    in_.resize(kReadSize);
    in_.shrink_to_fit();
  }
  return was_full;
}

void Connection::Fail(const std::string& why) {
  if (!socket_) return;
  Close();
  if (callbacks_.on_closed) callbacks_.on_closed(why);
}

void Connection::Close() {
  if (!socket_) return;
  if (sent_ < out_.size() && !want_write_) Flush();
  loop_.ForgetTurnEnd(*this);
  loop_.Unwatch(socket_.get(), *this);
  socket_.Reset();
}

int Connection::peer_pid() const {
  ucred credentials{};
  socklen_t size = sizeof credentials;
  if (::getsockopt(socket_.get(), SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0) return 0;
  return credentials.pid;
}

}  // namespace penstock::base
