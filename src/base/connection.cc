#include "base/connection.h"

#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/wire.h"

namespace penstock::base {
namespace {

constexpr std::size_t kReadSize = 64 << 10;
// Reads per turn and connection: a firehose must not starve its neighbours.
constexpr int kReadsPerTurn = 8;
// Frames of a turn that takes longer than this go out before its end, so that the peer works in
// the meantime: in a chain of processes that wait for each other's turns only one would.
constexpr Duration kLongTurn = std::chrono::microseconds(200);
constexpr std::uint32_t kFramesPerLook = 4;  // at the clock
// Beyond this a turn's frames go out at once rather than grow further.
constexpr std::size_t kFlushSize = 1 << 20;
// A payload of this size is worth a system call of its own rather than a copy.
constexpr std::size_t kLargePayload = 16 << 10;
// Pieces of one system call.
constexpr std::size_t kPiecesPerCall = 64;
// From this size on two copies through a socket cost more than a slot and its release.
constexpr std::size_t kWorthASlot = 32 << 10;
// How long shared memory stays warm after its last use.
constexpr Duration kWarmTime = std::chrono::seconds(2);

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

void Connection::Greet(FrameHead head, std::string_view payload) {
  if (!socket_) return;
  greeted_ = true;
  auto pool = SlotPool::Create();
  if (!pool.ok()) return Send(head, payload);  // sockets carry everything then
  head.length = static_cast<std::uint32_t>(payload.size());
  std::string frame;
  AppendHead(frame, head);
  frame += payload;
  iovec piece{.iov_base = frame.data(), .iov_len = frame.size()};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
  msghdr message{};
  message.msg_iov = &piece;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  cmsghdr* extra = CMSG_FIRSTHDR(&message);
  extra->cmsg_level = SOL_SOCKET;
  extra->cmsg_type = SCM_RIGHTS;
  extra->cmsg_len = CMSG_LEN(sizeof(int));
  const int fd = (*pool)->fd().get();
  std::memcpy(CMSG_DATA(extra), &fd, sizeof fd);
  const auto n = ::sendmsg(socket_.get(), &message, MSG_NOSIGNAL);
  if (n <= 0) return Send(head, payload);
  pool_ = *std::move(pool);
  Tail().append(frame, static_cast<std::size_t>(n));
  unsent_ += frame.size() - static_cast<std::size_t>(n);
  if (unsent_ > 0) loop_.AtTurnEnd(*this);
}

// False when there is no slot for it.
bool Connection::SendShared(FrameHead head, std::string_view payload, std::string_view more) {
  if (!pool_ || more.size() < kWorthASlot || more.size() > kMaxSlot) return false;
  const auto slot = pool_->Put(more);
  if (!slot) return false;
  pool_used_ = true;
  head.flags |= kShared;
  head.length = static_cast<std::uint32_t>(2 * sizeof(std::uint32_t) + payload.size());
  std::string& tail = Tail();
  const std::size_t before = tail.size();
  AppendHead(tail, head);
  WireWriter writer(tail);
  writer.Put(*slot);
  writer.Put(static_cast<std::uint32_t>(more.size()));
  tail.append(payload);
  unsent_ += tail.size() - before;
  if (!want_write_) Flush();  // the peer may read it while we fill the next
  return true;
}

void Connection::Send(FrameHead head, std::string_view payload, std::string_view more) {
  if (!socket_ || SendShared(head, payload, more)) return;
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
  if ((unsent() >= kFlushSize || TurnIsLong()) && !want_write_) {
    Flush();
  } else {
    loop_.AtTurnEnd(*this);
  }
}

// True when what a long turn has queued so far should leave: the peer could be at work on it.
bool Connection::TurnIsLong() {
  if (++frames_ % kFramesPerLook != 0) return false;
  const TimePoint now = loop_.clock().Now();
  if (now - std::max(flushed_, loop_.Now()) < kLongTurn) return false;
  flushed_ = now;
  return true;
}

void Connection::SendKept(FrameHead head, std::string_view payload, std::string_view more,
                          std::shared_ptr<const void> keep) {
  if (!socket_ || SendShared(head, payload, more)) return;
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
    const auto n = greeted_ ? ReceiveFirst()
                            : ::recv(socket_.get(), in_.data() + in_end_, in_.size() - in_end_, 0);
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

// As recv, and takes the memory that the peer shares.
ssize_t Connection::ReceiveFirst() {
  iovec piece{.iov_base = in_.data() + in_end_, .iov_len = in_.size() - in_end_};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
  msghdr message{};
  message.msg_iov = &piece;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  const auto n = ::recvmsg(socket_.get(), &message, MSG_CMSG_CLOEXEC);
  if (n <= 0) return n;
  greeted_ = false;
  const cmsghdr* extra = CMSG_FIRSTHDR(&message);
  if (extra == nullptr || extra->cmsg_type != SCM_RIGHTS) return n;
  int fd = -1;
  std::memcpy(&fd, CMSG_DATA(extra), sizeof fd);
  auto view = SlotView::Open(UniqueFd(fd));
  // Without it the peer's first shared frame breaks the connection, and says why.
  if (view.ok()) peer_pool_ = *std::move(view);
  return n;
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
    if (!Handle(parsed.frame)) return false;
    at += parsed.size;
  }
  in_end_ = 0;
  if (in_.size() > kReadSize) {  // one large frame must not pin its memory
    in_.resize(kReadSize);
    in_.shrink_to_fit();
  }
  return was_full;
}

// False when the connection ended with it.
bool Connection::Handle(Frame frame) {
  if (frame.head.kind == FrameKind::kRelease) {
    OnRelease(frame.head.stream);
    return static_cast<bool>(socket_);
  }
  if ((frame.head.flags & kShared) == 0) {
    callbacks_.on_frame(frame);
    return static_cast<bool>(socket_);
  }
  WireReader reader(frame.payload);
  const auto slot = reader.Get<std::uint32_t>();
  const auto size = reader.Get<std::uint32_t>();
  const auto shared = reader.ok() && peer_pool_ ? peer_pool_->At(slot, size) : std::nullopt;
  if (!shared) {
    Fail("frame in shared memory that is not there");
    return false;
  }
  frame.head.flags = static_cast<std::uint8_t>(frame.head.flags & ~kShared);
  frame.payload = reader.rest();
  frame.shared = *shared;
  callbacks_.on_frame(frame);
  if (!socket_) return false;
  Send({.kind = FrameKind::kRelease, .stream = slot});
  return true;
}

void Connection::OnRelease(std::uint32_t slot) {
  if (!pool_ || !pool_->Release(slot)) return Fail("release of a slot that was not taken");
  if (pool_->taken() == 0 && trim_ == 0) TrimWhenIdle();
}

void Connection::TrimWhenIdle() {
  pool_used_ = false;
  trim_ = loop_.After(kWarmTime, [this] {
    trim_ = 0;
    if (pool_->taken() > 0) return;  // the next release comes back here
    if (pool_used_) return TrimWhenIdle();
    pool_->Trim();
  });
}

void Connection::Fail(const std::string& why) {
  if (!socket_) return;
  Close();
  if (callbacks_.on_closed) callbacks_.on_closed(why);
}

void Connection::Close() {
  if (!socket_) return;
  if (unsent_ > 0 && !want_write_) Flush();
  if (trim_ != 0) loop_.Cancel(std::exchange(trim_, 0));
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
