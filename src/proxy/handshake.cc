#include "proxy/handshake.h"

#include <sys/epoll.h>

#include <utility>

namespace penstock::proxy {

Handshake::Handshake(base::Loop& loop, base::UniqueFd socket, const TlsContext& context,
                     OnEnd on_end)
    : loop_(loop),
      socket_(std::move(socket)),
      tls_(std::make_unique<TlsSession>(context, socket_.get())),
      on_end_(std::move(on_end)) {
  loop_.Watch(socket_.get(), EPOLLIN, *this);
}

Handshake::~Handshake() { StopWatching(); }

void Handshake::StopWatching() {
  StopWaiting();
  if (socket_) loop_.Unwatch(socket_.get(), *this);
}

void Handshake::OnEvents(std::uint32_t) {
  switch (tls_->Handshake()) {
    case TlsSession::Step::kWantRead:
      return loop_.Rewatch(socket_.get(), EPOLLIN, *this);
    case TlsSession::Step::kWantWrite:
      return loop_.Rewatch(socket_.get(), EPOLLOUT, *this);
    case TlsSession::Step::kFailed:
      return Fail();
    case TlsSession::Step::kDone:
      break;
  }
  StopWatching();
  on_end_(*this, Transport(std::move(socket_), std::move(tls_)));
}

void Handshake::Fail() {
  StopWatching();
  socket_.Reset();
  on_end_(*this, Transport({}));
}

}  // namespace penstock::proxy
