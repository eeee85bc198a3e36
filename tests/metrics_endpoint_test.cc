// GET /metrics over real sockets.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "base/socket.h"
#include "monitor/endpoint.h"
#include "support/http_client.h"
#include "support/loop_fixture.h"

namespace penstock {
namespace {

using monitor::Endpoint;
using testing::EndsWith;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;
using testing_support::HttpClient;

class EndpointTest : public testing_support::LoopTest {
 protected:
  EndpointTest() {
    auto listener = *base::ListenTcp("127.0.0.1", 0);
    port_ = base::LocalPort(listener);
    endpoint_ = std::make_unique<Endpoint>(
        *loop_, std::move(listener),
        [this](std::function<void(std::string)> show) { show_ = std::move(show); });
  }

  // What a client reads until the connection ends.
  std::string Ask(const std::string& request, const std::string& page = "") {
    HttpClient client(port_);
    EXPECT_TRUE(client.Send(request));
    Until([&] {
      if (show_ && !page.empty()) std::exchange(show_, nullptr)(page);
      while (client.Read()) {
      }
      return client.closed;
    });
    return client.text;
  }

  int port_ = 0;
  std::function<void(std::string)> show_;  // of the page that was asked for
  std::unique_ptr<Endpoint> endpoint_;
};

TEST_F(EndpointTest, APageIsShownWhenItIsThere) {
  const std::string reply = Ask("GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n", "a 1\n");
  EXPECT_THAT(reply, StartsWith("HTTP/1.1 200 OK\r\n"));
  EXPECT_THAT(reply, HasSubstr("content-type: text/plain; version=0.0.4"));
  EXPECT_THAT(reply, HasSubstr("content-length: 4\r\n"));
  EXPECT_THAT(reply, EndsWith("\r\n\r\na 1\n"));
}

TEST_F(EndpointTest, ALargePageComesWhole) {
  const std::string page(8 << 20, 'x');
  const std::string reply = Ask("GET /metrics?a=1 HTTP/1.1\r\n\r\n", page);
  EXPECT_EQ(reply.size() - reply.find("\r\n\r\n") - 4, page.size());
}

TEST_F(EndpointTest, AHeadAloneIsAHead) {
  const std::string reply = Ask("HEAD /metrics HTTP/1.1\r\n\r\n", "a 1\n");
  EXPECT_THAT(reply, HasSubstr("content-length: 4\r\n"));
  EXPECT_THAT(reply, Not(HasSubstr("a 1")));
}

TEST_F(EndpointTest, NothingElseIsThere) {
  EXPECT_THAT(Ask("GET /secrets HTTP/1.1\r\n\r\n"), StartsWith("HTTP/1.1 404 "));
  EXPECT_THAT(Ask("POST /metrics HTTP/1.1\r\ncontent-length: 0\r\n\r\n"),
              StartsWith("HTTP/1.1 405 "));
  EXPECT_THAT(Ask("nonsense\r\n\r\n"), StartsWith("HTTP/1.1 400 "));
  EXPECT_FALSE(show_);
}

TEST_F(EndpointTest, AClientThatLeftIsNotMissed) {
  {
    HttpClient client(port_);
    ASSERT_TRUE(client.Send("GET /metrics HTTP/1.1\r\n\r\n"));
    Until([&] { return static_cast<bool>(show_); });
  }
  const auto late = std::exchange(show_, nullptr);
  Settle();
  late("page");
  EXPECT_THAT(Ask("GET /metrics HTTP/1.1\r\n\r\n", "b 2\n"), EndsWith("b 2\n"));
}

TEST_F(EndpointTest, AClientThatStaysIsNotWaitedFor) {
  HttpClient client(port_);
  ASSERT_TRUE(client.Send("GET /metrics HTTP/1.1\r\n\r\n"));
  Until([&] { return static_cast<bool>(show_); });
  endpoint_.reset();
  std::exchange(show_, nullptr)("page");  // harmless
  while (client.Read()) {
  }
  EXPECT_TRUE(client.closed);
}

}  // namespace
}  // namespace penstock
