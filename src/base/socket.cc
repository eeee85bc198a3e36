#include "base/socket.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/un.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <string_view>
#include <vector>

namespace penstock::base {
namespace {

constexpr int kBacklog = 4096;
constexpr std::size_t kLargestPacket = 64 << 10;

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

Result<SocketPair> MakePair(int type) {
  int fds[2];
  if (::socketpair(AF_UNIX, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) != 0) {
    return Internal("cannot make a socket pair: " + ErrnoText());
  }
  return SocketPair{UniqueFd(fds[0]), UniqueFd(fds[1])};
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

Result<SocketPair> MakeSocketPair() { return MakePair(SOCK_STREAM); }

Result<SocketPair> MakePacketPair() { return MakePair(SOCK_SEQPACKET); }

Status SendPacket(const UniqueFd& socket, std::string_view bytes,
                  std::initializer_list<int> descriptors) {
  std::string text(bytes);
  iovec part{.iov_base = text.data(), .iov_len = text.size()};
  const std::size_t size = descriptors.size() * sizeof(int);
  std::vector<char> control(descriptors.size() == 0 ? 0 : CMSG_SPACE(size));
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  if (cmsghdr* head = CMSG_FIRSTHDR(&message); head != nullptr) {
    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN(size);
    std::memcpy(CMSG_DATA(head), descriptors.begin(), size);
  }
  if (::sendmsg(socket.get(), &message, MSG_NOSIGNAL) < 0) {
    return {Code::kUnavailable, "cannot send a packet: " + ErrnoText()};
  }
  return {};
}

std::optional<std::string> ReceivePacket(const UniqueFd& socket) {
  std::string bytes(kLargestPacket, '\0');
  const ssize_t n = ::recv(socket.get(), bytes.data(), bytes.size(), 0);
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return std::nullopt;
  bytes.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
  return bytes;
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
