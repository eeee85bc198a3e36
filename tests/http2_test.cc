// HTTP/2 clients, the real proxy, a scripted replica.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/protocol.h"
#include "support/http2_client.h"
#include "support/proxy_fixture.h"

namespace penstock {
namespace {

using testing::HasSubstr;
using testing::Pair;
using testing::StartsWith;
using testing_support::AnswerHttp;
using testing_support::Http2Client;

class Http2Test : public testing_support::ProxyTest {
 protected:
  std::unique_ptr<Http2Client> Connect2(std::optional<std::int32_t> window = {}) {
    return std::make_unique<Http2Client>(port_, window);
  }

  void UntilSo(Http2Client& client, const std::function<bool()>& done) {
    Until([&] {
      client.Turn();
      return done();
    });
  }

  // The reply to one request on a connection of its own.
  Http2Client::Reply Fetch2(const std::string& path, Http2Client::Fields fields = {},
                            const std::string& method = "GET") {
    const auto client = Connect2();
    const auto id = client->Request(method, path, std::move(fields));
    UntilSo(*client, [&] { return client->reply(id).closed; });
    return client->reply(id);
  }

  void SettleWith(Http2Client& client) {
    for (int i = 0; i < 10; ++i) {
      client.Turn();
      Settle();
    }
  }

  // Answers each request with the size of its body, once that is in.
  void AnswerSizes() {
    code_.on_start = [this](const auto& call) {
      auto collect = [this, raw = call.get()] {
        bodies_[raw] += raw->TakeBody();
        if (raw->body_ended()) AnswerHttp(*raw, std::to_string(bodies_[raw].size()));
      };
      call->SetOnBody(collect);
      collect();
    };
  }

  std::map<replica::Call*, std::string> bodies_;
};

TEST_F(Http2Test, ARequestAndItsReplyCarryEverything) {
  Serve();
  code_.on_start = [](const auto& call) {
    call->Reply({.status = 418, .headers = {{"x-kind", "pot"}}}, "tea", true);
  };
  const auto reply = Fetch2("/conv/a?b=c", {{"x-request-id", "my-id"},
                                            {"serve_multiplexed_model_id", "m1"},
                                            {"cookie", "a=1"},
                                            {"cookie", "b=2"}});
  EXPECT_EQ(reply.head.at(":status"), "418");
  EXPECT_EQ(reply.head.at("x-kind"), "pot");
  EXPECT_EQ(reply.head.at("content-length"), "3");
  EXPECT_EQ(reply.head.at("x-request-id"), "my-id");
  EXPECT_EQ(reply.head.at("server"), "penstock");
  EXPECT_EQ(reply.head.count("date"), 1u);
  EXPECT_EQ(reply.body, "tea");
  EXPECT_EQ(reply.error, 0u);
  const auto& head = code_.calls.at(0)->head();
  EXPECT_EQ(head.kind, base::CallKind::kHttp);
  EXPECT_EQ(head.method, "GET");
  EXPECT_EQ(head.target, "/conv/a?b=c");
  EXPECT_EQ(head.root_path, "/conv");
  EXPECT_EQ(head.http_version, "2");
  EXPECT_EQ(head.multiplexed_model_id, "m1");
  EXPECT_THAT(head.headers, testing::Contains(Pair("host", "host")));
  EXPECT_THAT(head.headers, testing::Contains(Pair("cookie", "a=1; b=2")));
}

TEST_F(Http2Test, TheSamePortServesBothVersions) {
  Serve();
  code_.on_start = [](const auto& call) {
    AnswerHttp(*call, std::string(call->head().http_version));
  };
  EXPECT_EQ(Fetch2("/").body, "2");
  EXPECT_THAT(Get("/"), HasSubstr("\r\n\r\n1.1"));
}

TEST_F(Http2Test, ThePrefaceMayComeByteByByteButNotLate) {
  Serve();
  code_.on_start = [](const auto& call) { AnswerHttp(*call, "x"); };
  const std::string preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
  const auto slow = Connect();
  for (const char c : preface) {
    slow->Send(std::string(1, c));
    Settle();
  }
  Until([&] {
    slow->Read();
    return slow->text.size() >= 9;
  });
  EXPECT_EQ(slow->text[3], 4) << "the first frame is SETTINGS";
  const auto late = Connect();
  late->Send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  UntilText(*late, "\r\n\r\nx");
  late->Send(preface);
  UntilClosed(*late);
  EXPECT_THAT(late->text, HasSubstr("HTTP/1.1 400 "));
}

TEST_F(Http2Test, AnUpgradeToHttp2IsIgnored) {
  Serve();
  code_.on_start = [](const auto& call) {
    AnswerHttp(*call, std::string(call->head().http_version));
  };
  const std::string reply = Fetch(
      "GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade, HTTP2-Settings\r\n"
      "Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n\r\n");
  EXPECT_THAT(reply, StartsWith("HTTP/1.1 200 "));
  EXPECT_THAT(reply, HasSubstr("\r\n\r\n1.1"));
}

TEST_F(Http2Test, BuiltinPathsAndRefusalsHaveServesWords) {
  Serve();
  EXPECT_EQ(Fetch2("/-/healthz").body, "success");
  EXPECT_THAT(Fetch2("/-/routes").body, HasSubstr("\"/conv\":\"conv\""));
  const auto dead = Fetch2("/dead");
  EXPECT_EQ(dead.head.at(":status"), "503");
  EXPECT_THAT(dead.body, HasSubstr("is unavailable because it failed to deploy."));
}

TEST_F(Http2Test, ManyRequestsShareAConnectionAndEndInAnyOrder) {
  Serve();
  const auto client = Connect2();
  std::vector<std::int32_t> ids;
  for (int i = 0; i < 50; ++i) ids.push_back(client->Request("GET", "/" + std::to_string(i)));
  UntilSo(*client, [&] { return code_.calls.size() == 50; });
  for (auto call = code_.calls.rbegin(); call != code_.calls.rend(); ++call) {
    AnswerHttp(**call, std::string((*call)->head().target));
  }
  UntilSo(*client, [&] { return client->reply(ids.front()).closed; });
  for (int i = 0; i < 50; ++i) {
    EXPECT_EQ(client->reply(ids[static_cast<std::size_t>(i)]).body, "/" + std::to_string(i));
  }
  EXPECT_EQ(server_->connections(), 1u);
}

TEST_F(Http2Test, BodiesArriveWholeHoweverTheyAreSent) {
  Serve();
  AnswerSizes();
  for (const std::size_t size : {std::size_t{0}, std::size_t{5}, std::size_t{65535},
                                 std::size_t{65536}, std::size_t{3'000'000}}) {
    for (const bool announced : {false, true}) {
      const auto client = Connect2();
      Http2Client::Fields fields;
      if (announced) fields.emplace_back("content-length", std::to_string(size));
      const auto id = client->Request("POST", "/", fields, /*body=*/true);
      client->Turn();
      for (std::size_t at = 0; at < size; at += 50'000) {
        client->Send(id, std::string(std::min<std::size_t>(50'000, size - at), 'b'));
        client->Turn();
        Settle();
      }
      client->Send(id, "", /*end=*/true);
      UntilSo(*client, [&] { return client->reply(id).closed; });
      EXPECT_EQ(client->reply(id).body, std::to_string(size));
    }
  }
}

TEST_F(Http2Test, ABodyThatNobodyTakesStopsTheClient) {
  Serve();
  const auto client = Connect2();
  const auto id = client->Request("POST", "/", {}, /*body=*/true);
  client->Send(id, std::string(3'000'000, 'b'), /*end=*/true);
  UntilSo(*client, [&] { return code_.calls.size() == 1; });
  SettleWith(*client);
  EXPECT_GT(client->unsent(id), 300'000u) << "what was not sent is held back at the client";
  AnswerSizes();
  code_.on_start(code_.calls[0]);
  UntilSo(*client, [&] { return client->reply(id).closed; });
  EXPECT_EQ(client->reply(id).body, "3000000");
}

TEST_F(Http2Test, OneStreamThatIsStuckDoesNotHoldUpAnother) {
  Serve();
  const auto client = Connect2();
  std::vector<std::int32_t> stuck;
  for (int i = 0; i < 20; ++i) {
    stuck.push_back(client->Request("POST", "/", {}, /*body=*/true));
    client->Send(stuck.back(), std::string(1'000'000, 'b'), /*end=*/true);
  }
  UntilSo(*client, [&] { return code_.calls.size() == 20; });
  SettleWith(*client);
  AnswerSizes();
  const auto id = client->Request("POST", "/", {}, /*body=*/true);
  client->Send(id, std::string(500'000, 'b'), /*end=*/true);
  UntilSo(*client, [&] { return client->reply(id).closed; });
  EXPECT_EQ(client->reply(id).body, "500000");
}

TEST_F(Http2Test, StreamsArriveAsTheyAreMade) {
  Serve();
  const auto client = Connect2();
  const auto id = client->Request("GET", "/");
  UntilSo(*client, [&] { return code_.calls.size() == 1; });
  auto& call = *code_.calls[0];
  call.Reply({.status = 200}, "one", false);
  UntilSo(*client, [&] { return client->reply(id).body == "one"; });
  call.Send("two", false);
  UntilSo(*client, [&] { return client->reply(id).body == "onetwo"; });
  call.Send("", true);
  UntilSo(*client, [&] { return client->reply(id).closed; });
  EXPECT_EQ(client->reply(id).error, 0u);
}

TEST_F(Http2Test, ASlowReaderHoldsItsReplicaBackAndNoOther) {
  Serve();
  const auto client = Connect2(/*window=*/100'000);
  const auto slow = client->Request("GET", "/slow");
  UntilSo(*client, [&] { return code_.calls.size() == 1; });
  auto& call = *code_.calls[0];
  call.Reply({.status = 200}, "", false);
  const std::string piece(50'000, 's');
  std::size_t sent = 0;
  for (int i = 0; i < 200 && call.writable(); ++i) {
    call.Send(piece, false);
    sent += piece.size();
    client->Turn();
    Settle();
  }
  EXPECT_FALSE(call.writable());
  EXPECT_LT(sent, 2u << 20u);
  code_.on_start = [](const auto& other) { AnswerHttp(*other, "quick"); };
  const auto quick = client->Request("GET", "/quick");
  UntilSo(*client, [&] { return client->reply(quick).closed; });
  std::size_t read = 0;
  UntilSo(*client, [&] {
    client->Consume(slow, client->reply(slow).body.size() - read);
    read = client->reply(slow).body.size();
    return call.writable();
  });
}

TEST_F(Http2Test, HeadAndA204HaveNoBody) {
  Serve();
  code_.on_start = [](const auto& call) { AnswerHttp(*call, "body"); };
  const auto head = Fetch2("/", {}, "HEAD");
  EXPECT_EQ(head.head.at("content-length"), "4");
  EXPECT_EQ(head.body, "");
  EXPECT_EQ(head.error, 0u);
  code_.on_start = [](const auto& call) { call->Reply({.status = 204}, "", true); };
  const auto none = Fetch2("/");
  EXPECT_EQ(none.head.at(":status"), "204");
  EXPECT_EQ(none.head.count("content-length"), 0u);
}

TEST_F(Http2Test, AResetCancelsOneRequest) {
  Serve();
  const auto client = Connect2();
  const auto first = client->Request("GET", "/first");
  const auto second = client->Request("GET", "/second");
  UntilSo(*client, [&] { return code_.calls.size() == 2; });
  client->Reset(first);
  UntilSo(*client, [&] { return code_.cancelled == 1; });
  AnswerHttp(*code_.calls[1], "second");
  UntilSo(*client, [&] { return client->reply(second).closed; });
  EXPECT_EQ(client->reply(second).body, "second");
}

TEST_F(Http2Test, ADisconnectCancelsThemAll) {
  Serve();
  const auto client = Connect2();
  for (int i = 0; i < 3; ++i) client->Request("GET", "/");
  UntilSo(*client, [&] { return code_.calls.size() == 3; });
  client->CloseSocket();
  Until([&] { return code_.cancelled == 3 && server_->connections() == 0; });
}

TEST_F(Http2Test, LimitsAreTold) {
  Serve();
  const auto client = Connect2();
  UntilSo(*client,
          [&] { return client->remote_setting(NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS) == 256u; });
  EXPECT_EQ(client->remote_setting(NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE), 64u << 10u);
}

TEST_F(Http2Test, HeadsThatAreTooLargeGet431AndTheConnectionGoesOn) {
  Serve();
  code_.on_start = [](const auto& call) { AnswerHttp(*call, "x"); };
  const auto client = Connect2();
  Http2Client::Fields many;
  for (int i = 0; i < 300; ++i) many.emplace_back("x-" + std::to_string(i), "v");
  const auto large = client->Request("GET", "/", many);
  const auto good = client->Request("GET", "/");
  UntilSo(*client, [&] { return client->reply(large).closed && client->reply(good).closed; });
  EXPECT_EQ(client->reply(large).head.at(":status"), "431");
  EXPECT_EQ(client->reply(good).body, "x");
}

TEST_F(Http2Test, BodiesBeyondTheLimitGet413AndNeedNotBeSent) {
  Serve({.max_body_bytes = 1000});
  for (const bool announced : {false, true}) {
    const auto client = Connect2();
    Http2Client::Fields fields;
    if (announced) fields.emplace_back("content-length", "100000000");
    const auto id = client->Request("POST", "/", fields, /*body=*/true);
    client->Send(id, std::string(2000, 'b'));
    UntilSo(*client, [&] { return client->reply(id).closed; });
    EXPECT_EQ(client->reply(id).head.at(":status"), "413");
    EXPECT_EQ(client->reply(id).error, static_cast<std::uint32_t>(NGHTTP2_NO_ERROR));
  }
}

TEST_F(Http2Test, ExpectContinueIsAnswered) {
  Serve();
  AnswerSizes();
  const auto client = Connect2();
  const auto id =
      client->Request("POST", "/", {{"expect", "100-continue"}, {"content-length", "2"}},
                      /*body=*/true);
  UntilSo(*client, [&] { return client->reply(id).informational == 1; });
  client->Send(id, "ok", true);
  UntilSo(*client, [&] { return client->reply(id).closed; });
  EXPECT_EQ(client->reply(id).body, "2");
}

TEST_F(Http2Test, ABodyOfWhichNothingComesIsTimedOut) {
  Serve({.body_timeout = std::chrono::milliseconds(30)});
  const auto client = Connect2();
  const auto id = client->Request("POST", "/", {}, /*body=*/true);
  client->Send(id, "ok", false);
  UntilSo(*client, [&] { return client->reply(id).closed; });
  EXPECT_EQ(client->reply(id).head.at(":status"), "408");
  EXPECT_EQ(client->reply(id).body, "Nothing of the request's body arrived for 0.03s.");
  Until([&] { return code_.cancelled == 1; });
}

TEST_F(Http2Test, ATimeoutCancelsAndAnswers408) {
  Serve({.request_timeout_s = 0.02});
  const auto reply = Fetch2("/", {{"x-request-id", "t"}});
  EXPECT_EQ(reply.head.at(":status"), "408");
  EXPECT_EQ(reply.body, "Request t timed out after 0.02s.");
  Until([&] { return code_.cancelled == 1; });
}

TEST_F(Http2Test, AReplyThatBreaksOffResetsItsStream) {
  Serve();
  const auto client = Connect2();
  const auto id = client->Request("GET", "/");
  UntilSo(*client, [&] { return code_.calls.size() == 1; });
  code_.calls[0]->Reply({.status = 200}, "part", false);
  UntilSo(*client, [&] { return client->reply(id).body == "part"; });
  code_.calls[0]->Send("", /*end=*/true, /*failure=*/true);
  UntilSo(*client, [&] { return client->reply(id).closed; });
  EXPECT_EQ(client->reply(id).error, static_cast<std::uint32_t>(NGHTTP2_INTERNAL_ERROR));
}

TEST_F(Http2Test, AnAnnouncedLengthIsKeptToTheByte) {
  Serve();
  code_.on_start = [](const auto& call) {
    call->Reply({.status = 200, .headers = {{"content-length", "3"}}}, "12345", true);
  };
  EXPECT_EQ(Fetch2("/").body, "123");
  code_.on_start = [](const auto& call) {
    call->Reply({.status = 200, .headers = {{"content-length", "9"}}}, "short", true);
  };
  EXPECT_EQ(Fetch2("/").error, static_cast<std::uint32_t>(NGHTTP2_INTERNAL_ERROR));
}

TEST_F(Http2Test, HeadersThatHttp2ForbidsAreDropped) {
  Serve();
  code_.on_start = [](const auto& call) {
    call->Reply({.status = 200,
                 .headers = {{"connection", "close"},
                             {"transfer-encoding", "chunked"},
                             {"x bad", "1"},
                             {"x-evil", "1\r\n2"},
                             {"x-padded", " v "},
                             {"x-good", "2"}}},
                "", true);
  };
  const auto reply = Fetch2("/");
  EXPECT_EQ(reply.head.at("x-good"), "2");
  EXPECT_EQ(reply.head.at("x-padded"), "v");
  for (const char* name : {"connection", "transfer-encoding", "x bad", "x-evil"}) {
    EXPECT_EQ(reply.head.count(name), 0u) << name;
  }
}

TEST_F(Http2Test, TrailersOfARequestAreIgnored) {
  Serve();
  AnswerSizes();
  const auto client = Connect2();
  const auto id = client->Request("POST", "/", {}, /*body=*/true);
  client->Send(id, "body");
  client->SendTrailers(id, {{"x-trailer", "1"}});
  UntilSo(*client, [&] { return client->reply(id).closed; });
  EXPECT_EQ(client->reply(id).body, "4");
}

TEST_F(Http2Test, IdleConnectionsAreClosedWithAFarewell) {
  Serve({.keep_alive_timeout = std::chrono::milliseconds(30)});
  code_.on_start = [](const auto& call) { AnswerHttp(*call, "x"); };
  const auto client = Connect2();
  const auto id = client->Request("GET", "/");
  UntilSo(*client, [&] { return client->closed(); });
  EXPECT_EQ(client->reply(id).body, "x");
  EXPECT_EQ(client->goaway(), static_cast<std::uint32_t>(NGHTTP2_NO_ERROR));
}

TEST_F(Http2Test, AServerThatEndsSaysFarewell) {
  Serve();
  const auto client = Connect2();
  client->Request("GET", "/");
  UntilSo(*client, [&] { return code_.calls.size() == 1; });
  server_.reset();
  UntilSo(*client, [&] { return client->closed(); });
  EXPECT_TRUE(client->goaway().has_value());
  Until([&] { return code_.cancelled == 1; });
}

TEST_F(Http2Test, AClientThatTakesBackWhatItAsksIsSentAway) {
  Serve();
  const auto client = Connect2();
  for (int i = 0; i < 3000 && !client->closed() && !client->goaway(); ++i) {
    const auto id = client->Request("GET", "/");
    if (id < 0) break;
    client->Turn();
    client->Reset(id);
    client->Turn();
    loop_->RunOnce(Duration::zero());
  }
  UntilSo(*client, [&] { return client->closed(); });
  EXPECT_TRUE(client->goaway().has_value());
  Until([&] { return runtime_.ongoing() == 0; });
  code_.on_start = [](const auto& call) { AnswerHttp(*call, "x"); };
  EXPECT_EQ(Fetch2("/").body, "x") << "others are served";
}

TEST_F(Http2Test, GarbageEndsTheConnection) {
  Serve();
  const auto client = Connect();
  client->Send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + std::string(100, '\xff'));
  UntilClosed(*client);
  EXPECT_EQ(server_->connections(), 0u);
}

TEST_F(Http2Test, EveryRequestIsALineInTheAccessLog) {
  Serve({.access_log = Path("access.log"), .node = "127.0.0.1"});
  code_.on_start = [](const auto& call) { AnswerHttp(*call, ""); };
  Fetch2("/conv/x", {{"x-request-id", "id1"}});
  Fetch2("/-/healthz");
  server_.reset();
  const std::string log = *base::ReadFile(Path("access.log"));
  EXPECT_THAT(log, HasSubstr(" id1 -- GET /conv 200 "));
  EXPECT_THAT(log, testing::Not(HasSubstr("/-/")));
}

TEST_F(Http2Test, RequestsOfOneConnectionAreCountedEach) {
  Serve();
  const auto ongoing = [&] {
    for (const auto& family : server_->Metrics()) {
      if (family.name == "serve_num_ongoing_http_requests") return family.samples.at(0).value;
    }
    return -1.0;
  };
  const auto client = Connect2();
  const auto first = client->Request("GET", "/conv/a", {});
  const auto second = client->Request("GET", "/conv/b", {});
  UntilSo(*client, [&] { return code_.calls.size() == 2; });
  EXPECT_EQ(ongoing(), 2);
  AnswerHttp(*code_.calls.at(0), "");
  UntilSo(*client, [&] { return client->reply(first).closed; });
  EXPECT_EQ(ongoing(), 1);
  AnswerHttp(*code_.calls.at(1), "");
  UntilSo(*client, [&] { return client->reply(second).closed; });
  EXPECT_EQ(ongoing(), 0);
}

TEST_F(Http2Test, MethodsThatNobodyKnowsAreNoLabels) {
  Serve();
  code_.on_start = [](const auto& call) { AnswerHttp(*call, ""); };
  Fetch2("/conv/x", {}, "BREW");
  Fetch2("/conv/x", {}, "STIR");
  for (const auto& family : server_->Metrics()) {
    if (family.name != "serve_num_http_requests") continue;
    ASSERT_EQ(family.samples.size(), 1u);
    EXPECT_EQ(family.samples[0].tags, (std::vector<std::string>{"/conv", "", "conv", "200"}));
    EXPECT_EQ(family.samples[0].value, 2);
  }
}

}  // namespace
}  // namespace penstock
