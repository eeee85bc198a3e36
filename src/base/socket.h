// Sockets: the few calls that open one. Everything is non-blocking and close-on-exec.
#pragma once

#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>

#include "base/fd.h"
#include "penstock/status.h"

namespace penstock::base {

// Listens on a Unix socket at `path`, replacing a stale one; only the owner may connect.
// kInvalidArgument when the path is too long for the kernel (107 bytes).
Result<UniqueFd> ListenUnix(const std::string& path);

// Connects to `path`. kUnavailable when nobody listens there.
Result<UniqueFd> ConnectUnix(const std::string& path);

// Listens on a numeric or resolvable host. kUnavailable, with Ray Serve's words, when the
// address is taken or not ours. Not SO_REUSEPORT: two instances must not share a port unawares.
Result<UniqueFd> ListenTcp(const std::string& host, int port);

// The next waiting connection; an empty descriptor when there is none.
UniqueFd Accept(const UniqueFd& listener);

// Two connected stream sockets.
struct SocketPair {
  UniqueFd ours;
  UniqueFd theirs;
};
// kInternal when the kernel refuses.
Result<SocketPair> MakeSocketPair();

// Two connected sockets that keep what is sent in packets.
Result<SocketPair> MakePacketPair();

// Sends one packet, and with it copies of `descriptors`. kUnavailable when the other end is gone
// or does not read.
Status SendPacket(const UniqueFd& socket, std::string_view bytes,
                  std::initializer_list<int> descriptors);

// The next packet of at most 64 KiB, "" at the end; nothing when there is none yet.
std::optional<std::string> ReceivePacket(const UniqueFd& socket);

// "host:port" of the other end, "" when it has none.
std::string PeerAddress(const UniqueFd& socket);

// "host:port" of this end, "" when it has none; with the port that a listener on port 0 got.
std::string LocalAddress(const UniqueFd& socket);

// The port of this end, 0 when it has none.
int LocalPort(const UniqueFd& socket);

// Clears close-on-exec, so that a child inherits it.
void KeepOnExec(const UniqueFd& fd);

}  // namespace penstock::base
