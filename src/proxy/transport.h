// A client's socket, plain or with TLS on it. Plain costs a branch that is always the same.
//
// Thread: the proxy's loop.
#pragma once

#include <sys/socket.h>
#include <sys/uio.h>

#include <memory>
#include <span>
#include <string_view>
#include <utility>

#include "base/fd.h"
#include "proxy/tls.h"

namespace penstock::proxy {

class Transport {
 public:
  // `tls`: after its handshake, or nullptr.
  explicit Transport(base::UniqueFd socket, std::unique_ptr<TlsSession> tls = nullptr)
      : socket_(std::move(socket)), tls_(std::move(tls)) {}

  // The descriptor: to be watched, and to be asked for addresses.
  const base::UniqueFd& socket() const { return socket_; }
  int get() const { return socket_.get(); }

  // True until Reset.
  explicit operator bool() const { return static_cast<bool>(socket_); }

  // Nobody between here and the client can read it.
  bool secure() const { return tls_ != nullptr; }

  // What client and server agreed to speak, as ALPN names it; "" when they said nothing of it.
  std::string_view protocol() const { return tls_ ? tls_->protocol() : std::string_view(); }

  // As recv(2). 0 also when the client broke off.
  ssize_t Receive(char* buffer, std::size_t size) {
    if (tls_) [[unlikely]]
      return tls_->Receive(buffer, size);
    return ::recv(socket_.get(), buffer, size, 0);
  }

  // As sendmsg(2): -1 and EAGAIN when there is no room. What did not go must be the beginning of
  // the next call.
  ssize_t Send(std::span<const iovec> parts) {
    if (tls_) [[unlikely]]
      return tls_->Send(parts);
    msghdr message{};
    message.msg_iov = const_cast<iovec*>(parts.data());
    message.msg_iovlen = parts.size();
    return ::sendmsg(socket_.get(), &message, MSG_NOSIGNAL);
  }
  ssize_t Send(std::string_view bytes) {
    if (!tls_) [[likely]]
      return ::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    const iovec part{const_cast<char*>(bytes.data()), bytes.size()};
    return tls_->Send({&part, 1});
  }

  // What was sent is all there is, whole. Without TLS the end of the connection says so.
  void SayGoodbye() {
    if (tls_) [[unlikely]]
      tls_->EndSending();
  }

  // Nothing more will be sent; what the client sends may still be received.
  void EndSending() {
    SayGoodbye();
    ::shutdown(socket_.get(), SHUT_WR);
  }

  // Closes it.
  void Reset() { socket_.Reset(); }

 private:
  base::UniqueFd socket_;
  std::unique_ptr<TlsSession> tls_;
};

}  // namespace penstock::proxy
