#include "base/socket.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <string_view>

namespace penstock::base {
namespace {

constexpr int kBacklog = 4096;

std::string ErrnoText() { return std::strerror(errno); }

// The cast that the socket API is built on.
template <class Address>
sockaddr* Generic(Address& address) {
  return static_cast<sockaddr*>(static_cast<void*>(&address));
}

Result<sockaddr_un> UnixAddress(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) {
    return InvalidArgument("socket path '" + path + "' is longer than " +
                           std::to_string(sizeof address.sun_path - 1) + " bytes");
  }
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  return address;
}

UniqueFd UnixSocket() {
  return UniqueFd(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
}

using AddressList = std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)>;

AddressList Resolve(const std::string& host, int port) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  addrinfo* list = nullptr;
  if (::getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &list) != 0) list = nullptr;
  return {list, &::freeaddrinfo};
}

// "host:port"; "" for an address without a port.
std::string AddressText(sockaddr_storage& storage, socklen_t size) {
  char host[NI_MAXHOST];
  char port[NI_MAXSERV];
  if (storage.ss_family == AF_UNIX ||
      ::getnameinfo(Generic(storage), size, host, sizeof host, port, sizeof port,
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0) {
    return "";
  }
  return std::string(host) + ":" + port;
}

}  // namespace

Result<UniqueFd> ListenUnix(const std::string& path) {
  auto address = UnixAddress(path);
  if (!address.ok()) return address.status();
  UniqueFd fd = UnixSocket();
  ::unlink(path.c_str());
  const mode_t mask = ::umask(0077);
  const bool bound = ::bind(fd.get(), Generic(*address), sizeof *address) == 0;
  ::umask(mask);
  if (!bound || ::listen(fd.get(), kBacklog) != 0) {
    return Internal("cannot listen on '" + path + "': " + ErrnoText());
  }
  return fd;
}

Result<UniqueFd> ConnectUnix(const std::string& path) {
  auto address = UnixAddress(path);
  if (!address.ok()) return address.status();
  UniqueFd fd = UnixSocket();
  if (::connect(fd.get(), Generic(*address), sizeof *address) != 0) {
    return Status(Code::kUnavailable, "nothing answers at '" + path + "': " + ErrnoText());
  }
  return fd;
}

Result<UniqueFd> ListenTcp(const std::string& host, int port) {
  const std::string where = host + ":" + std::to_string(port);
  const AddressList addresses =
      port >= 0 && port <= 65535 ? Resolve(host, port) : AddressList(nullptr, &::freeaddrinfo);
  std::string why = "no such address";
  for (const addrinfo* a = addresses.get(); a != nullptr; a = a->ai_next) {
    UniqueFd fd(::socket(a->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    const int on = 1;
    ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (::bind(fd.get(), a->ai_addr, a->ai_addrlen) == 0 && ::listen(fd.get(), kBacklog) == 0) {
      return fd;
    }
    why = ErrnoText();
  }
  return Status(Code::kUnavailable, "Failed to bind to address '" + where + "'. (" + why + ")");
}

UniqueFd Accept(const UniqueFd& listener) {
  UniqueFd fd(::accept4(listener.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
  if (fd) {
    const int on = 1;  // fails on a Unix socket, which has no delay to turn off
    ::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  }
  return fd;
}

Result<SocketPair> MakeSocketPair() {
  int fds[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) != 0) {
    return Internal("cannot make a socket pair: " + ErrnoText());
  }
  return SocketPair{UniqueFd(fds[0]), UniqueFd(fds[1])};
}

std::string PeerAddress(const UniqueFd& socket) {
  sockaddr_storage storage{};
  socklen_t size = sizeof storage;
  if (::getpeername(socket.get(), Generic(storage), &size) != 0) return "";
  return AddressText(storage, size);
}

std::string LocalAddress(const UniqueFd& socket) {
  sockaddr_storage storage{};
  socklen_t size = sizeof storage;
  if (::getsockname(socket.get(), Generic(storage), &size) != 0) return "";
  return AddressText(storage, size);
}

int LocalPort(const UniqueFd& socket) {
  const std::string address = LocalAddress(socket);
  const auto colon = address.rfind(':');
  return colon == std::string::npos ? 0 : std::atoi(address.c_str() + colon + 1);
}

void KeepOnExec(const UniqueFd& fd) { ::fcntl(fd.get(), F_SETFD, 0); }

}  // namespace penstock::base
