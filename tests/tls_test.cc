// TLS clients on real sockets, the real proxy, a scripted replica.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "base/file.h"
#include "base/protocol.h"
#include "base/socket.h"
#include "proxy/server.h"
#include "proxy/tls.h"
#include "replica/runtime.h"
#include "route/router.h"
#include "support/certificates.h"
#include "support/http_client.h"
#include "support/loop_fixture.h"
#include "support/scripted_code.h"
#include "support/tls_client.h"

namespace penstock {
namespace {

using proxy::TlsContext;
using proxy::TlsOptions;
using testing::EndsWith;
using testing::HasSubstr;
using testing::StartsWith;
using testing_support::AnswerHttp;
using testing_support::Authority;
using testing_support::KeyAndCertificate;
using testing_support::ScriptedCode;
using testing_support::TlsClient;
using testing_support::TlsClientOptions;

constexpr const char* kHttp11 = "\x08http/1.1";
constexpr const char* kGet = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";

class TlsTest : public testing_support::LoopTest {
 protected:
  TlsTest() : runtime_(*loop_, code_) {
    runtime_.SetMaxOngoing(100);
    EXPECT_TRUE(runtime_.Listen(Path("r")).ok());
    const KeyAndCertificate server = authority_.Issue();
    Write("key", server.key);
    Write("cert", server.certificate);
    Write("ca", authority_.certificate());
  }

  std::string Write(const std::string& name, const std::string& content) {
    EXPECT_TRUE(base::WriteFileAtomic(Path(name), content).ok());
    return Path(name);
  }

  TlsOptions Files() { return {.keyfile = Path("key"), .certfile = Path("cert")}; }

  void Serve(proxy::ServerOptions options = {}) { Serve(std::move(options), Files()); }

  void Serve(proxy::ServerOptions options, const TlsOptions& files) {
    route::RouteUpdate update{.epoch = 1, .http = {{{"/", {"root", "Root"}}}}};
    update.deployments.push_back({.id = {"root", "Root"},
                                  .max_ongoing_requests = 100,
                                  .replicas = {{.id = "r", .socket = Path("r"), .node = "n"}}});
    router_.Apply(update);
    options.tls = *TlsContext::Load(files, proxy::kProtocols);
    auto listener = *base::ListenTcp("127.0.0.1", 0);
    port_ = base::LocalPort(listener);
    server_ =
        std::make_unique<proxy::Server>(*loop_, std::move(listener), router_, std::move(options));
  }

  TlsClient Connect(TlsClientOptions options = {}) {
    options.authority = authority_.certificate();
    return TlsClient(port_, options);
  }

  void UntilText(TlsClient& client, const std::string& part) {
    Until([&] {
      client.Pump();
      return client.text.find(part) != std::string::npos;
    });
  }

  void UntilClosed(TlsClient& client) {
    Until([&] {
      client.Pump();
      return client.closed;
    });
  }

  Authority authority_;
  ScriptedCode code_;
  replica::Runtime runtime_;
  route::Router router_{*loop_};
  std::unique_ptr<proxy::Server> server_;
  int port_ = 0;
};

TEST_F(TlsTest, ARequestAndItsReplyAndTheReplicaKnowsThatItWasSecure) {
  Serve();
  code_.on_start = [](const auto& call) { AnswerHttp(*call, call->TakeBody()); };
  auto client = Connect({.protocols = kHttp11});
  client.Send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello");
  UntilText(client, "\r\n\r\nhello");
  EXPECT_THAT(client.text, StartsWith("HTTP/1.1 200 OK\r\n"));
  EXPECT_EQ(client.protocol(), "http/1.1");
  EXPECT_EQ(code_.calls.at(0)->head().flags & base::kSecure, base::kSecure);
  client.Send(kGet);  // the connection lives on
  UntilText(client, "content-length: 0\r\n");
}

TEST_F(TlsTest, AClientThatKnowsNoneOfOurProtocolsGoesOnWithoutOne) {
  Serve();
  code_.on_start = [](const auto& call) { AnswerHttp(*call, "x"); };
  for (const char* protocols : {"", "\x06spdy/1"}) {
    auto client = Connect({.protocols = protocols});
    client.Send(kGet);
    UntilText(client, "\r\n\r\nx");
    EXPECT_EQ(client.protocol(), "");
  }
}

TEST_F(TlsTest, APipelineIsAnsweredInOrder) {
  Serve();
  code_.on_start = [](const auto& call) { AnswerHttp(*call, std::string(call->head().target)); };
  auto client = Connect();
  for (int i = 0; i < 50; ++i)
    client.Send("GET /" + std::to_string(i) + " HTTP/1.1\r\nHost: h\r\n\r\n");
  UntilText(client, "\r\n\r\n/49");
  std::size_t at = 0;
  for (int i = 0; i < 50; ++i) {
    at = client.text.find("\r\n\r\n/" + std::to_string(i), at);
    ASSERT_NE(at, std::string::npos) << i;
  }
}

// No byte is lost or doubled where the kernel takes part of a record, at either end.
TEST_F(TlsTest, LargeBodiesBothWaysWithAClientThatReadsSlowly) {
  Serve();
  std::string content;
  for (int i = 0; content.size() < 6'000'000; ++i) content += std::to_string(i) + ",";
  std::string received;
  code_.on_start = [&](const auto& call) {
    auto collect = [&, raw = call.get()] {
      received += raw->TakeBody();
      if (!raw->body_ended()) return;
      raw->Reply({.status = 200, .headers = {{"content-length", std::to_string(content.size())}}},
                 "", false);
      // Pieces of all sizes: some are copied behind others, some go straight to the kernel.
      std::string_view left = content;
      for (std::size_t size = 1; !left.empty(); size = size * 3 % 100'003) {
        raw->Send(left.substr(0, size), false);
        left.remove_prefix(std::min(size, left.size()));
      }
      raw->Send("", true);
    };
    call->SetOnBody(collect);
    collect();
  };
  auto client = Connect();
  client.Send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: " + std::to_string(content.size()) +
              "\r\n\r\n" + content);
  Until([&] {
    client.Pump(/*most=*/200'000);
    const auto body = client.text.find("\r\n\r\n");
    return body != std::string::npos && client.text.size() >= body + 4 + content.size();
  });
  EXPECT_EQ(received, content);
  EXPECT_EQ(client.text.substr(client.text.find("\r\n\r\n") + 4), content);
}

TEST_F(TlsTest, AWholeReplyEndsWithAGoodbyeAndACutOneWithout) {
  Serve();
  code_.on_start = [](const auto& call) { call->Reply({.status = 200}, "part", false); };
  auto whole = Connect();
  whole.Send("GET / HTTP/1.0\r\n\r\n");
  UntilText(whole, "part");
  code_.calls.at(0)->Send("", true);
  UntilClosed(whole);
  EXPECT_TRUE(whole.said_goodbye);
  auto cut = Connect();
  cut.Send("GET / HTTP/1.0\r\n\r\n");
  UntilText(cut, "part");
  code_.calls.at(1)->Send("", true, /*failure=*/true);
  UntilClosed(cut);
  EXPECT_FALSE(cut.said_goodbye) << "without a length the client could not tell";
}

TEST_F(TlsTest, WhoSaysNothingIsClosed) {
  Serve({.head_timeout = std::chrono::milliseconds(30)});
  testing_support::HttpClient silent(port_);
  Until([&] { return server_->connections() == 1; });
  Until([&] {
    silent.Read();
    return silent.closed;
  });
  EXPECT_EQ(server_->connections(), 0u);
}

TEST_F(TlsTest, WhoSpeaksNoTlsIsClosedAndTheNextClientIsServed) {
  Serve();
  code_.on_start = [](const auto& call) { AnswerHttp(*call, "x"); };
  testing_support::HttpClient plain(port_);
  plain.Send(kGet);
  Until([&] {
    plain.Read();
    return plain.closed;
  });
  auto client = Connect();
  client.Send(kGet);
  UntilText(client, "\r\n\r\nx");
  EXPECT_TRUE(code_.calls.size() == 1);
}

TEST_F(TlsTest, AClientThatLeavesCancelsItsRequestAlsoDuringTheHandshake) {
  Serve();
  {
    testing_support::HttpClient early(port_);
    early.Send("\x16\x03\x01");  // the beginning of a handshake
    Until([&] { return server_->connections() == 1; });
  }
  Until([&] { return server_->connections() == 0; });
  auto client = Connect();
  client.Send(kGet);
  Until([&] {
    client.Pump();
    return code_.calls.size() == 1;
  });
  client.Close();
  Until([&] { return code_.cancelled == 1 && server_->connections() == 0; });
}

TEST_F(TlsTest, ClientsNeedACertificateOfTheGivenAuthority) {
  TlsOptions files = Files();
  files.ca_certs = Path("ca");
  Serve({}, files);
  code_.on_start = [](const auto& call) { AnswerHttp(*call, "x"); };
  const auto known = authority_.Issue();
  auto client = Connect({.certificate = known.certificate, .key = known.key});
  client.Send(kGet);
  UntilText(client, "\r\n\r\nx");

  const auto session = client.session();
  auto again =
      Connect({.certificate = known.certificate, .key = known.key, .session = session.get()});
  again.Send(kGet);
  UntilText(again, "\r\n\r\nx");
  EXPECT_TRUE(again.resumed());

  const auto foreign = Authority("another").Issue();
  for (const TlsClientOptions& options :
       {TlsClientOptions{},
        TlsClientOptions{.certificate = foreign.certificate, .key = foreign.key}}) {
    auto stranger = Connect(options);
    stranger.Send(kGet);
    UntilClosed(stranger);
    EXPECT_EQ(stranger.text, "");
  }
  EXPECT_EQ(code_.calls.size(), 2u);
}

TEST_F(TlsTest, AKeyWithAPassword) {
  const auto encrypted = authority_.Issue("open sesame");
  TlsOptions files{.keyfile = Write("locked", encrypted.key),
                   .certfile = Write("locked_cert", encrypted.certificate)};
  const auto without = TlsContext::Load(files, proxy::kProtocols).status();
  EXPECT_THAT(without.message(), HasSubstr("ssl_keyfile_password"));
  EXPECT_THAT(without.message(), EndsWith("is encrypted: it is needed"));
  files.keyfile_password = "open barley";
  const auto wrong = TlsContext::Load(files, proxy::kProtocols).status();
  EXPECT_THAT(wrong.message(), HasSubstr("ssl_keyfile_password"));
  EXPECT_THAT(wrong.message(), testing::Not(HasSubstr("barley")));
  files.keyfile_password = "open sesame";
  Serve({}, files);
  code_.on_start = [](const auto& call) { AnswerHttp(*call, "x"); };
  auto client = Connect();
  client.Send(kGet);
  UntilText(client, "\r\n\r\nx");
}

TEST_F(TlsTest, FilesThatCannotServeAreNamed) {
  const std::string junk = Write("junk", "no certificate at all\n");
  const std::string other_key = Write("other", authority_.Issue().key);
  const std::string none = Path("none");
  struct Row {
    TlsOptions files;
    std::string option;
    std::string part;
  };
  for (const Row& row : {
           Row{{.keyfile = Path("key"), .certfile = none}, "ssl_certfile", "cannot read"},
           Row{{.keyfile = Path("key"), .certfile = junk}, "ssl_certfile", "no certificate in PEM"},
           Row{{.keyfile = Path("key"), .certfile = folder_}, "ssl_certfile", "no certificate"},
           Row{{.keyfile = none, .certfile = Path("cert")}, "ssl_keyfile", "cannot read"},
           Row{{.keyfile = junk, .certfile = Path("cert")}, "ssl_keyfile", "no private key in PEM"},
           Row{{.keyfile = Path("cert"), .certfile = Path("cert")}, "ssl_keyfile", "no private"},
           Row{{.keyfile = other_key, .certfile = Path("cert")}, "ssl_keyfile", "is not the key"},
           Row{{.keyfile = Path("key"), .certfile = Path("cert"), .ca_certs = none},
               "ssl_ca_certs",
               "cannot read"},
           Row{{.keyfile = Path("key"), .certfile = Path("cert"), .ca_certs = junk},
               "ssl_ca_certs",
               "no certificate in PEM"},
           Row{{.keyfile = Path("key")}, "ssl_keyfile", "needs ssl_certfile"},
           Row{{.ca_certs = Path("ca")}, "ssl_ca_certs", "needs ssl_certfile"},
       }) {
    const Status bad = TlsContext::Load(row.files, proxy::kProtocols).status();
    EXPECT_EQ(bad.code(), Code::kInvalidArgument);
    EXPECT_THAT(bad.message(), StartsWith("http_options." + row.option + ": "));
    EXPECT_THAT(bad.message(), HasSubstr(row.part));
  }
}

}  // namespace
}  // namespace penstock
