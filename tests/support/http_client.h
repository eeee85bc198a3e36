// One TCP connection to a proxy under test. Nothing here waits: the test turns the loop.
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <string>
#include <string_view>

#include "base/fd.h"

namespace penstock::testing_support {

class HttpClient {
 public:
  // Connects to the loopback address.
  explicit HttpClient(int port) : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    void* raw = &address;
    EXPECT_EQ(::connect(fd_.get(), static_cast<sockaddr*>(raw), sizeof address), 0);
  }

  // All of it or, once the other side has closed, none: true when it was sent.
  bool Send(std::string_view bytes) {
    return ::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL) ==
           static_cast<ssize_t>(bytes.size());
  }

  // Reads what is there. False when there is nothing (more), or the connection ended.
  bool Read() {
    char bytes[65536];
    const auto n = ::recv(fd_.get(), bytes, sizeof bytes, MSG_DONTWAIT);
    if (n > 0) text.append(bytes, static_cast<std::size_t>(n));
    if (n == 0 || (n < 0 && errno == ECONNRESET)) closed = true;
    return n > 0;
  }

  void Close() { fd_.Reset(); }

  std::string text;     // everything received
  bool closed = false;  // the other side says no more

 private:
  base::UniqueFd fd_;
};

}  // namespace penstock::testing_support
