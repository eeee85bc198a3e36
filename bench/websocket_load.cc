// websocket_load PORT PATH CONNECTIONS SECONDS: a WebSocket client fast enough not to be what is
// measured. Every connection has one message of 16 bytes under way; prints a line of JSON.
//
// It speaks only what an echo needs: one handshake, one masked frame out, the same frame back.
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;

// A text frame whose mask is all zeros, and what comes back.
constexpr std::string_view kMessage = "sixteen bytes ok";
const std::string kFrame = std::string("\x81\x90\0\0\0\0", 6) + std::string(kMessage);
const std::string kAnswer = std::string("\x81\x10", 2) + std::string(kMessage);

[[noreturn]] void Fail(const std::string& why) {
  std::printf("{\"error\": \"%s\"}\n", why.c_str());
  std::exit(0);
}

struct Client {
  int fd = -1;
  bool open = false;  // the handshake is done
  std::string got;
  Clock::time_point sent;
};

void Send(Client& client, std::string_view bytes) {
  client.sent = Clock::now();
  if (::send(client.fd, bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size())) {
    Fail("send");
  }
}

int Connect(int port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    Fail("connect");
  }
  const int on = 1;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  return fd;
}

// True when an answer is complete.
bool Receive(Client& client) {
  std::array<char, 4096> buffer;
  const auto n = ::recv(client.fd, buffer.data(), buffer.size(), 0);
  if (n <= 0) Fail("the server closed a connection");
  client.got.append(buffer.data(), static_cast<std::size_t>(n));
  if (!client.open) {
    const auto end = client.got.find("\r\n\r\n");
    if (end == std::string::npos) return false;
    if (client.got.rfind("HTTP/1.1 101", 0) != 0) Fail(client.got.substr(0, 12));
    client.open = true;
    client.got.clear();
    Send(client, kFrame);
    return false;
  }
  if (client.got.size() < kAnswer.size()) return false;
  if (client.got != kAnswer) Fail("another message came back");
  client.got.clear();
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 5) Fail("usage: websocket_load PORT PATH CONNECTIONS SECONDS");
  const int port = std::atoi(argv[1]);
  const std::string head = std::string("GET ") + argv[2] +
                           " HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
                           "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                           "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
  std::vector<Client> clients(static_cast<std::size_t>(std::atoi(argv[3])));
  const int epoll = ::epoll_create1(0);
  for (Client& client : clients) {
    client.fd = Connect(port);
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.ptr = &client;
    ::epoll_ctl(epoll, EPOLL_CTL_ADD, client.fd, &event);
    Send(client, head);
  }
  std::vector<double> latencies_ms;
  const auto warm = Clock::now() + std::chrono::seconds(1);
  const auto end = warm + std::chrono::seconds(std::atoi(argv[4]));
  std::array<epoll_event, 256> events;
  for (auto now = Clock::now(); now < end; now = Clock::now()) {
    const int count = ::epoll_wait(epoll, events.data(), events.size(), 100);
    for (int i = 0; i < count; ++i) {
      Client& client = *static_cast<Client*>(events[static_cast<std::size_t>(i)].data.ptr);
      if (!Receive(client)) continue;
      const std::chrono::duration<double, std::milli> took = Clock::now() - client.sent;
      if (now >= warm) latencies_ms.push_back(took.count());
      Send(client, kFrame);
    }
  }
  if (latencies_ms.empty()) Fail("no answer");
  std::sort(latencies_ms.begin(), latencies_ms.end());
  const std::size_t n = latencies_ms.size();
  std::printf("{\"rps\": %.1f, \"n\": %zu, \"p50_ms\": %.3f, \"p99_ms\": %.3f}\n",
              static_cast<double>(n) / std::atoi(argv[4]), n, latencies_ms[n / 2],
              latencies_ms[n * 99 / 100]);
  return 0;
}
