// One client's connection, whatever it speaks, as the server keeps it.
//
// Thread: the proxy's loop.
#pragma once

#include <cstddef>

#include "proxy/patience.h"

namespace penstock::proxy {

// Unsent bytes of replies beyond which who makes them is asked to wait.
inline constexpr std::size_t kEnoughUnsent = 64 << 10;

class ClientConnection : public Patience::Waiter {
 public:
  // Ends it now. The server drops the object at the end of the turn.
  virtual void Close() = 0;
};

}  // namespace penstock::proxy
