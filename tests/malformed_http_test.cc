// Ten thousand requests with something wrong in most of them, on real connections to the proxy:
// each is answered, with a refusal that ends the connection or as the valid request that it still
// is, and none of them keeps the proxy from serving the next client.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "base/socket.h"
#include "proxy/server.h"
#include "replica/runtime.h"
#include "route/router.h"
#include "support/http_client.h"
#include "support/loop_fixture.h"
#include "support/scripted_code.h"

namespace penstock {
namespace {

using testing::StartsWith;
using testing_support::HttpClient;

constexpr std::uint64_t kMaxBody = 1000;

// Damages requests. The same seed gives the same ones on every machine.
class Damage {
 public:
  explicit Damage(std::uint32_t seed) : random_(seed) {}

  // A request, with up to four things wrong.
  std::string Next() {
    static const std::vector<std::string> whole = {
        "GET /a/b?c=d HTTP/1.1\r\nHost: h\r\nAccept: */*\r\n",
        "HEAD / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n",
        "POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n",
        "PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n",
        "GET http://h/x%20y HTTP/1.0\r\nConnection: keep-alive\r\n",
        "OPTIONS * HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\n",
        "GET /-/routes HTTP/1.1\r\nHost: h\r\nX-Request-ID: id\r\n"};
    std::string text = whole[Below(whole.size())];
    for (std::size_t i = Below(5); i > 0; --i) Break(text);
    return text + "\r\n";
  }

 private:
  std::size_t Below(std::size_t n) { return random_() % n; }
  char Byte() { return static_cast<char>(random_() % 256); }

  // What parsers have been known to disagree about.
  const char* Trap() {
    static const std::vector<const char*> traps = {"\r",
                                                   "\n",
                                                   "\r\n",
                                                   "\r\n\r\n",
                                                   ":",
                                                   " ",
                                                   "\t",
                                                   "\x7f",
                                                   "HTTP/1.1",
                                                   "HTTP/2.0",
                                                   "HTTP/1.",
                                                   "GET ",
                                                   "%",
                                                   "#",
                                                   "//",
                                                   "\xff\xfe",
                                                   "Content-Length: 99999999999999999999\r\n",
                                                   "Content-Length: 7\r\n",
                                                   "Content-Length: -1\r\n",
                                                   "Content-Length: 2000\r\n",
                                                   "Transfer-Encoding: chunked\r\n",
                                                   "Transfer-Encoding: gzip, chunked\r\n",
                                                   "Transfer-Encoding: identity\r\n",
                                                   " folded: line\r\n",
                                                   "Host : h\r\n",
                                                   ": no name\r\n",
                                                   "Upgrade: h2c\r\nConnection: upgrade\r\n"};
    return traps[Below(traps.size())];
  }

  void Break(std::string& text) {
    const std::size_t at = Below(text.size());
    const std::size_t length = 1 + Below(std::min<std::size_t>(text.size() - at, 8));
    switch (Below(8)) {
      case 0:
        text[at] = Byte();
        return;
      case 1:
        text.erase(at, length);
        return;
      case 2:
        text.insert(at, 1, Byte());
        return;
      case 3:
        text.insert(at, 1, '\0');
        return;
      case 4:
        text.insert(at, text.substr(at, length));
        return;
      case 5:
        std::swap(text[at], text[Below(text.size())]);
        return;
      case 6:
        text.insert(at, std::string(1 + Below(200), 'x'));
        return;
      default:
        text.insert(at, Trap());
        return;
    }
  }

  std::mt19937 random_;
};

class MalformedHttpTest : public testing_support::LoopTest {
 protected:
  MalformedHttpTest() : runtime_(*loop_, code_) {
    code_.on_start = [](const auto& call) { testing_support::AnswerHttp(*call, "fine"); };
    runtime_.SetMaxOngoing(1000);
    EXPECT_TRUE(runtime_.Listen(Path("r")).ok());
    route::RouteUpdate update{.epoch = 1, .http = {{{"/", {"app", "D"}}}}};
    update.deployments.push_back({.id = {"app", "D"},
                                  .max_ongoing_requests = 1000,
                                  .replicas = {{.id = "r", .socket = Path("r"), .node = "n"}}});
    router_.Apply(update);
    auto listener = *base::ListenTcp("127.0.0.1", 0);
    port_ = base::LocalPort(listener);
    server_ = std::make_unique<proxy::Server>(*loop_, std::move(listener), router_,
                                              proxy::ServerOptions{.max_body_bytes = kMaxBody});
  }

  // Turns until `client` has read a whole head that is not "100 Continue", or for `turns`.
  bool HearsWithin(HttpClient& client, int turns) {
    for (int i = 0; i < turns && FinalHead(client.text).empty() && !client.closed; ++i) {
      loop_->RunOnce(i < 10 ? Duration::zero() : std::chrono::milliseconds(1));
      while (client.Read()) {
      }
    }
    return !FinalHead(client.text).empty();
  }

  // The reply's head, past any "100 Continue"; "" while it is not whole.
  static std::string FinalHead(const std::string& text) {
    const std::size_t from = text.starts_with("HTTP/1.1 100 ") ? text.find("\r\n\r\n") + 4 : 0;
    const std::size_t end = text.find("\r\n\r\n", from);
    return end == std::string::npos ? "" : text.substr(from, end - from);
  }

  // The status that the proxy answers a damaged request with.
  int StatusOf(const std::string& request) {
    HttpClient client(port_);
    EXPECT_TRUE(client.Send(request));
    // A length may have got into it: it waits for a body. No state of a parser outlasts this.
    if (!HearsWithin(client, 12)) client.Send(std::string(70'000, 'x') + "\r\n\r\n");
    EXPECT_TRUE(HearsWithin(client, 10'000)) << "no answer";
    const std::string head = FinalHead(client.text);
    EXPECT_THAT(head, testing::MatchesRegex("HTTP/1.1 [2-5][0-9][0-9] [A-Z][^\r\n]*\r\n.*"));
    if (head.size() < 12) return 0;
    const int status = std::stoi(head.substr(9, 3));
    if (status == 400 || status == 413 || status == 431) {
      EXPECT_THAT(head, testing::HasSubstr("connection: close"));
      UntilClosed(client);
    }
    return status;
  }

  void UntilClosed(HttpClient& client) {
    Until([&] {
      while (client.Read()) {
      }
      return client.closed;
    });
  }

  void CheckGoodRequest() {
    HttpClient client(port_);
    client.Send("GET /x HTTP/1.1\r\nHost: h\r\n\r\n");
    EXPECT_TRUE(HearsWithin(client, 10'000));
    EXPECT_THAT(client.text, StartsWith("HTTP/1.1 200 OK\r\n"));
    EXPECT_THAT(client.text, testing::EndsWith("\r\n\r\nfine"));
    code_.calls.clear();
  }

  testing_support::ScriptedCode code_;
  replica::Runtime runtime_;
  route::Router router_{*loop_};
  std::unique_ptr<proxy::Server> server_;
  int port_ = 0;
};

TEST_F(MalformedHttpTest, EveryOneIsAnsweredAndTheProxyServesOn) {
  Damage damage(20'240'229);
  std::map<int, int> statuses;
  for (int i = 0; i < 10'000; ++i) {
    const std::string request = damage.Next();
    ++statuses[StatusOf(request)];
    if (i % 500 == 0) CheckGoodRequest();
    ASSERT_FALSE(HasFailure()) << "request " << i << ": " << testing::PrintToString(request);
  }
  CheckGoodRequest();
  Until([&] { return server_->connections() == 0; });
  // Neither all noise nor all harmless.
  EXPECT_GT(statuses[400], 3000);
  EXPECT_GT(statuses[200], 1000);
  EXPECT_GT(statuses[413], 0);
  EXPECT_EQ(statuses[500] + statuses[503], 0);
}

TEST_F(MalformedHttpTest, ABodyMayHaveTheLimitAndNoByteMore) {
  const std::string full(kMaxBody, 'b');
  const std::string announced = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: ";
  EXPECT_EQ(StatusOf(announced + "1000\r\n\r\n" + full), 200);
  EXPECT_EQ(StatusOf(announced + "1001\r\n\r\n" + full + "b"), 413);
  code_.on_start = nullptr;  // an early answer would be one that comes before the body's end
  HttpClient client(port_);
  client.Send("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3e8\r\n" + full +
              "\r\n");
  EXPECT_FALSE(HearsWithin(client, 20));
  client.Send("1\r\nb\r\n");
  EXPECT_TRUE(HearsWithin(client, 10'000));
  EXPECT_THAT(client.text, StartsWith("HTTP/1.1 413 "));
  UntilClosed(client);
}

}  // namespace
}  // namespace penstock
