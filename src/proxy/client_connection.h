// One client's connection, whatever it speaks, as the server keeps it.
//
// Thread: the proxy's loop.
#pragma once

#include <cstddef>
#include <list>

#include "penstock/units.h"

namespace penstock::proxy {

// Unsent bytes of replies beyond which who makes them is asked to wait.
inline constexpr std::size_t kEnoughUnsent = 64 << 10;

class ClientConnection {
 public:
  virtual ~ClientConnection() = default;

  // Ends it now. The server drops the object at the end of the turn.
  virtual void Close() = 0;

  // True between requests.
  virtual bool idle() const = 0;

  // For the server: when it turned idle, and its place among the idle ones.
  TimePoint idle_since{};
  std::list<ClientConnection*>::iterator idle_place{};
};

}  // namespace penstock::proxy
