#include "base/connection.h"

#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

namespace penstock::base {
namespace {

constexpr std::size_t kReadSize = 64 << 10;
// Reads per turn and connection: a firehose must not starve its neighbours.
constexpr int kReadsPerTurn = 8;
// Beyond this a turn's frames go out at once rather than grow further.
constexpr std::size_t kFlushSize = 1 << 20;
// A payload of this size is worth a system call of its own rather than a copy.
constexpr std::size_t kLargePayload = 16 << 10;
// Pieces of one system call.
constexpr std::size_t kPiecesPerCall = 64;

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
  if (head.length >= kLargePayload && !want_write_) {
    std::string encoded;
    AppendHead(encoded, head);
    return Transmit(encoded, payload, more);
  }
  std::string& tail = Tail();
  const std::size_t before = tail.size();
  AppendHead(tail, head);
  tail.append(payload);
  tail.append(more);
  unsent_ += tail.size() - before;
  if (unsent() >= kFlushSize && !want_write_) {
    Flush();
  } else {
    loop_.AtTurnEnd(*this);
  }
}

void Connection::SendKept(FrameHead head, std::string_view payload, std::string_view more,
                          std::shared_ptr<const void> keep) {
  if (!socket_) return;
  head.length = static_cast<std::uint32_t>(payload.size() + more.size());
  std::string& tail = Tail();
  const std::size_t before = tail.size();
  AppendHead(tail, head);
  tail.append(payload);
  unsent_ += tail.size() - before + more.size();
  out_.push_back({.own = {}, .kept = more, .keep = std::move(keep)});
  loop_.AtTurnEnd(*this);
}

// The string that small frames are appended to.
std::string& Connection::Tail() {
  if (out_.empty() || out_.back().keep) out_.emplace_back();
  return out_.back().own;
}

void Connection::OnTurnEnd() {
  if (socket_ && !want_write_) Flush();
}

// Hands what is queued and these three to the kernel, and queues what it does not take.
void Connection::Transmit(std::string_view head, std::string_view payload, std::string_view more) {
  std::size_t taken = 0;
  const bool took_all = Write(head, payload, more, taken);
  for (std::string_view piece : {head, payload, more}) {
    const std::size_t skip = std::min(taken, piece.size());
    taken -= skip;
    piece.remove_prefix(skip);
    if (piece.empty()) continue;
    Tail().append(piece);
    unsent_ += piece.size();
  }
  if (!took_all) return WaitForRoom();
  if (unsent_ > 0) loop_.AtTurnEnd(*this);
}

// One system call with what is queued and, behind it, three more pieces. False when the kernel
// has no room for more. `taken`: bytes of the three that it took.
bool Connection::Write(std::string_view first, std::string_view second, std::string_view third,
                       std::size_t& taken) {
  std::array<iovec, kPiecesPerCall + 3> pieces;
  std::size_t count = 0;
  std::size_t queued = 0;
  const auto add = [&](std::string_view bytes) {
    if (bytes.empty()) return;
    pieces[count++] = {.iov_base = const_cast<char*>(bytes.data()), .iov_len = bytes.size()};
  };
  for (std::size_t i = 0; i < out_.size() && count < kPiecesPerCall; ++i) {
    const std::string_view bytes = out_[i].bytes().substr(i == 0 ? sent_ : 0);
    queued += bytes.size();
    add(bytes);
  }
  if (queued == unsent_) {  // else they would overtake what is queued
    add(first);
    add(second);
    add(third);
  }
  msghdr message{};
  message.msg_iov = pieces.data();
  message.msg_iovlen = count;
  while (true) {
    const auto n = ::sendmsg(socket_.get(), &message, MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) return false;
    if (n < 0) {  // the reading side reports the end
      Drop(unsent_);
      taken = first.size() + second.size() + third.size();
      return true;
    }
    const auto sent = static_cast<std::size_t>(n);
    taken = sent > queued ? sent - queued : 0;
    Drop(std::min(sent, queued));
    return true;
  }
}

// Forgets bytes that the kernel has taken.
void Connection::Drop(std::size_t sent) {
  unsent_ -= sent;
  sent_ += sent;
  while (!out_.empty() && sent_ >= out_.front().bytes().size()) {
    sent_ -= out_.front().bytes().size();
    if (out_.size() == 1 && !out_.front().keep) {  // its memory serves the next turn
      out_.front().own.clear();
      if (out_.front().own.capacity() > kFlushSize) out_.pop_front();
      return;
    }
    out_.pop_front();
  }
}

void Connection::WaitForRoom() {
  if (std::exchange(want_write_, true)) return;
  loop_.Rewatch(socket_.get(), EPOLLIN | EPOLLOUT, *this);
}

void Connection::Flush() {
  std::size_t none = 0;
  while (unsent_ > 0) {
    if (!Write({}, {}, {}, none)) return WaitForRoom();
  }
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
  if (unsent_ > 0 && !want_write_) Flush();
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
