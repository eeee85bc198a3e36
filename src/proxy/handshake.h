// A connection that is still agreeing on TLS with its client.
//
// Thread: the proxy's loop.
#pragma once

#include <functional>
#include <memory>

#include "base/fd.h"
#include "base/loop.h"
#include "proxy/patience.h"
#include "proxy/tls.h"
#include "proxy/transport.h"

namespace penstock::proxy {

class Handshake final : private base::FdHandler, public Patience::Waiter {
 public:
  // What became of it: a transport that is ready, or an empty one when it failed or took too long,
  // and the connection is closed. Called once, from the loop; may dispose of the handshake, not
  // destroy it.
  using OnEnd = std::function<void(Handshake&, Transport)>;

  Handshake(base::Loop& loop, base::UniqueFd socket, const TlsContext& context, OnEnd on_end);
  ~Handshake() override;

 private:
  void OnEvents(std::uint32_t events) override;
  void OnImpatience() override { Fail(); }
  void Fail();
  void StopWatching();

  base::Loop& loop_;
  base::UniqueFd socket_;
  std::unique_ptr<TlsSession> tls_;
  OnEnd on_end_;
};

}  // namespace penstock::proxy
