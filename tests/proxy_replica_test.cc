// HTTP clients on raw sockets, the real proxy, a scripted replica.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <malloc.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "base/protocol.h"
#include "support/proxy_fixture.h"

namespace penstock {
namespace {

using Client = testing_support::HttpClient;
using testing_support::AnswerHttp;
using testing_support::ProxyTest;

using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

TEST_F(ProxyTest, AReplyCarriesStatusHeadersAndBody) {
  Serve();
  code_.on_start = [](const auto& call) {
    call->Reply({.status = 418, .headers = {{"x-kind", "pot"}, {"content-type", "text/x-tea"}}},
                "tea", true);
  };
  const std::string reply =
      Fetch("GET /conv/a?b=c HTTP/1.1\r\nHost: h\r\nX-Request-ID: my-id\r\n\r\n");
  EXPECT_THAT(reply, StartsWith("HTTP/1.1 418 "));
  for (const char* part :
       {"x-kind: pot\r\n", "content-type: text/x-tea\r\n", "content-length: 3\r\n",
        "x-request-id: my-id\r\n", "server: penstock\r\n", "date: ", "\r\n\r\ntea"}) {
    EXPECT_THAT(reply, HasSubstr(part));
  }
  const auto& head = code_.calls.at(0)->head();
  EXPECT_EQ(head.target, "/conv/a?b=c");
  EXPECT_EQ(head.route, "/conv");
  EXPECT_EQ(head.root_path, "/conv");
  EXPECT_EQ(head.app, "conv");
  EXPECT_EQ(head.request_id, "my-id");
}

TEST_F(ProxyTest, ARequestWithoutAnIdGetsOneAndTheApplicationSeesIt) {
  Serve();
  code_.on_start = [](const auto& call) { AnswerHttp(*call, ""); };
  const std::string reply = Get("/");
  const auto& call = *code_.calls.at(0);
  EXPECT_EQ(call.head().request_id.size(), 36u);
  EXPECT_THAT(reply, HasSubstr("x-request-id: " + std::string(call.head().request_id)));
  EXPECT_EQ(call.head().headers.back().first, "x-request-id");
  EXPECT_EQ(call.head().root_path, "");
}

TEST_F(ProxyTest, TheLongestPrefixWinsAtSegmentBoundaries) {
  Serve();
  code_.on_start = [](const auto& call) { AnswerHttp(*call, std::string(call->head().app)); };
  const std::vector<std::pair<std::string, std::string>> rows{{"/", "root"},
                                                              {"/convx", "root"},
                                                              {"/conv", "conv"},
                                                              {"/conv/", "conv"},
                                                              {"/conv?x", "conv"},
                                                              {"/conv/deep", "deep"},
                                                              {"/conv/deep/x", "deep"},
                                                              {"/conv/deeper", "conv"},
                                                              {"/c%6fnv/x", "conv"},
                                                              {"http://h/conv/x", "conv"}};
  for (const auto& [path, app] : rows) EXPECT_THAT(Get(path), HasSubstr("\r\n\r\n" + app)) << path;
}

TEST_F(ProxyTest, ClientsWaitForAProxyThatHasNotHeardOfRoutes) {
  Start({.route_wait = std::chrono::hours(1)});
  const auto early = Connect();
  early->Send("GET /nope HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
  bool passed = false;
  loop_->After(std::chrono::milliseconds(20), [&] { passed = true; });
  Until([&] { return passed; });
  EXPECT_EQ(early->text, "");
  router_.Apply({.epoch = 1, .full = true, .http = {{}}});
  server_->OnInformed();
  UntilClosed(*early);
  EXPECT_THAT(early->text, StartsWith("HTTP/1.1 404 "));
}

TEST_F(ProxyTest, ClientsAreToldThatNothingIsKnownWhenThatTakesTooLong) {
  Start({.route_wait = std::chrono::milliseconds(1)});
  EXPECT_THAT(Get("/nope"), StartsWith("HTTP/1.1 503 "));
}

TEST_F(ProxyTest, BuiltinPathsAndRefusalsHaveServesWords) {
  Start({});
  EXPECT_THAT(Get("/-/healthz"), HasSubstr("503 Service Unavailable"));
  EXPECT_THAT(Get("/-/routes"), HasSubstr("Route table is not populated yet."));
  // A proxy that has just started cannot say that there is no such application.
  EXPECT_THAT(Get("/nope"), StartsWith("HTTP/1.1 503 "));
  router_.Apply({.epoch = 1, .full = true, .http = {{}}});
  EXPECT_THAT(Get("/nope"),
              HasSubstr("Path '/nope' not found. Ping http://.../-/routes for available routes."));
  Serve();
  EXPECT_THAT(Get("/-/healthz"), HasSubstr("\r\n\r\nsuccess"));
  EXPECT_THAT(Get("/-/routes"),
              HasSubstr(R"({"/":"root","/conv":"conv","/conv/deep":"deep","/dead":"dead"})"));
  const std::string dead = Get("/dead");
  EXPECT_THAT(dead, StartsWith("HTTP/1.1 503 "));
  EXPECT_THAT(
      dead,
      HasSubstr("Deployment(name='Dead', app='dead') is unavailable because it failed to deploy."));
}

TEST_F(ProxyTest, AFullQueueIsToldWithTheConfiguredStatus) {
  route::RouteUpdate update{.epoch = 1, .http = {{{"/", {"a", "D"}}}}};
  update.deployments.push_back({.id = {"a", "D"},
                                .max_ongoing_requests = 1,
                                .max_queued_requests = 1,
                                .backpressure = {.status_code = 429, .retry_after_s = 1.2},
                                .replicas = {{.id = "r", .socket = Path("r"), .node = "n"}}});
  router_.Apply(update);
  Start({});
  std::vector<std::unique_ptr<Client>> clients;
  for (int i = 0; i < 2; ++i) {
    clients.push_back(Connect());
    clients.back()->Send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    Settle();
  }
  const std::string refused = Get("/");
  EXPECT_THAT(refused, StartsWith("HTTP/1.1 429 "));
  EXPECT_THAT(refused, HasSubstr("retry-after: 2\r\n"));
  EXPECT_THAT(refused, HasSubstr("(num_queued_requests=1, max_queued_requests=1)."));
}

TEST_F(ProxyTest, OneConnectionCarriesManyRequestsAlsoPipelined) {
  Serve();
  code_.on_start = [](const auto& call) { AnswerHttp(*call, std::string(call->head().target)); };
  const auto client = Connect();
  std::string pipeline;
  for (int i = 0; i < 50; ++i)
    pipeline += "GET /" + std::to_string(i) + " HTTP/1.1\r\nHost: h\r\n\r\n";
  pipeline += "GET /-/healthz HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
  client->Send(pipeline);
  UntilClosed(*client);
  std::size_t at = 0;
  for (int i = 0; i < 50; ++i) {
    at = client->text.find("\r\n\r\n/" + std::to_string(i), at);
    ASSERT_NE(at, std::string::npos) << i;
  }
  EXPECT_THAT(client->text.substr(at), HasSubstr("success"));
}

TEST_F(ProxyTest, BodiesArriveWholeHoweverTheyAreSent) {
  Serve();
  std::string body;
  code_.on_start = [&](const auto& call) {
    auto collect = [&body, raw = call.get()] {
      body += raw->TakeBody();
      if (raw->body_ended()) AnswerHttp(*raw, std::to_string(body.size()));
    };
    call->SetOnBody(collect);
    collect();
  };
  for (const std::size_t size :
       {std::size_t{0}, std::size_t{5}, std::size_t{65536}, std::size_t{3'000'000}}) {
    body.clear();
    const auto client = Connect();
    client->Send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: " + std::to_string(size) +
                 "\r\n\r\n");
    const std::string content(size, 'b');
    for (std::size_t at = 0; at < size; at += 50'000) {
      client->Send(std::string_view(content).substr(at, 50'000));
      Settle();
    }
    UntilText(*client, "\r\n\r\n" + std::to_string(size));
    EXPECT_EQ(body, content);
  }
  body.clear();
  const auto client = Connect();
  client->Send("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
  Settle();
  client->Send("6\r\n world\r\n0\r\n\r\n");
  UntilText(*client, "\r\n\r\n11");
  EXPECT_EQ(body, "hello world");
}

TEST_F(ProxyTest, ExpectContinueIsAnswered) {
  Serve();
  code_.on_start = [](const auto& call) { AnswerHttp(*call, call->TakeBody()); };
  const auto client = Connect();
  client->Send("POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
  UntilText(*client, "HTTP/1.1 100 Continue\r\n\r\n");
  client->Send("ok");
  UntilText(*client, "\r\n\r\nok");
}

TEST_F(ProxyTest, WhoExpectsAContinueForWhatIsRefusedIsToldSoAtOnce) {
  Serve();
  router_.Apply({.epoch = 2, .full = true, .http = {{}}});
  const auto client = Connect();
  client->Send(
      "POST /-/x HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n");
  UntilText(*client, "HTTP/1.1 404 ");
  EXPECT_THAT(client->text, Not(HasSubstr("100 Continue")));
}

TEST_F(ProxyTest, StreamsAreChunkedAndArriveAsTheyAreMade) {
  Serve();
  const auto client = Connect();
  client->Send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  Until([&] { return code_.calls.size() == 1; });
  auto& call = *code_.calls[0];
  call.Reply({.status = 200}, "one", false);
  UntilText(*client, "transfer-encoding: chunked\r\n");
  UntilText(*client, "3\r\none\r\n");
  call.Send("two!", false);
  UntilText(*client, "4\r\ntwo!\r\n");
  call.Send("", true);
  UntilText(*client, "0\r\n\r\n");
}

TEST_F(ProxyTest, ASlowReaderHoldsTheReplicaBack) {
  Serve();
  const auto client = Connect();
  client->Send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  Until([&] { return code_.calls.size() == 1; });
  auto& call = *code_.calls[0];
  call.Reply({.status = 200}, "", false);
  const std::string piece(50'000, 's');
  std::size_t sent = 0;
  for (int i = 0; i < 2000 && call.writable(); ++i) {
    call.Send(piece, false);
    sent += piece.size();
    Settle();
  }
  EXPECT_FALSE(call.writable()) << "a client that reads nothing must stop the stream";
  EXPECT_LT(sent, 20u << 20u);
  Until([&] {
    while (client->Read()) {
    }
    return call.writable();
  });
}

// A client that is always a little behind: something is unsent at all times.
TEST_F(ProxyTest, WhatWasSentIsForgottenAlsoWhileMoreIsUnsent) {
  send_buffer_ = 16 << 10;  // small, so that the kernel takes a little at a time
  Serve();
  const auto client = Connect();
  client->Send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  Until([&] { return code_.calls.size() == 1; });
  auto& call = *code_.calls[0];
  call.Reply({.status = 200}, "", false);
  const auto allocated = [] {
    const auto info = ::mallinfo2();
    return info.uordblks + info.hblkhd;
  };
  const std::string piece(50'000, 's');
  const std::size_t before = allocated();
  constexpr std::size_t kTotal = 8 << 20;
  for (std::size_t sent = 0; sent < kTotal;) {
    for (int quiet = 0; quiet < 6; ++quiet) {  // turns in which nothing is asked for
      for (; call.writable(); quiet = 0, sent += piece.size()) call.Send(piece, false);
      loop_->RunOnce(Duration::zero());
    }
    client->Read();
    client->text.clear();
  }
  EXPECT_LT(allocated(), before + (2u << 20u));
}

TEST_F(ProxyTest, HeadHasNoBodyAndHttp10EndsWithTheConnection) {
  Serve();
  code_.on_start = [](const auto& call) { AnswerHttp(*call, "body"); };
  EXPECT_THAT(Fetch("HEAD / HTTP/1.1\r\nHost: h\r\n\r\n"), testing::EndsWith("\r\n\r\n"));
  const auto old = Connect();
  old->Send("GET / HTTP/1.0\r\n\r\n");
  UntilClosed(*old);
  EXPECT_THAT(old->text, HasSubstr("connection: close"));
  EXPECT_THAT(old->text, testing::EndsWith("\r\n\r\nbody"));
}

TEST_F(ProxyTest, A204HasNoBodyAndNoLength) {
  Serve();
  code_.on_start = [](const auto& call) { call->Reply({.status = 204}, "", true); };
  const std::string reply = Get("/");
  EXPECT_THAT(reply, StartsWith("HTTP/1.1 204 No Content\r\n"));
  EXPECT_THAT(reply, Not(HasSubstr("content-length")));
  EXPECT_THAT(reply, Not(HasSubstr("chunked")));
}

TEST_F(ProxyTest, MalformedRequestsGet400AndTheConnectionEnds) {
  Serve();
  for (const char* bad :
       {"GET\r\n\r\n", "NOT A REQUEST\r\n\r\n", "GET / HTTP/9.9\r\n\r\n",
        "GET / HTTP/1.1\r\nno colon\r\n\r\n", "POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"}) {
    const auto client = Connect();
    client->Send(bad);
    UntilClosed(*client);
    EXPECT_THAT(client->text, StartsWith("HTTP/1.1 400 Bad Request\r\n")) << bad;
  }
}

TEST_F(ProxyTest, HeadsThatAreTooLargeGet431) {
  Serve();
  const auto client = Connect();
  client->Send("GET / HTTP/1.1\r\nx: " + std::string(70'000, 'x'));
  UntilClosed(*client);
  EXPECT_THAT(client->text, StartsWith("HTTP/1.1 431 "));
}

TEST_F(ProxyTest, BodiesBeyondTheLimitGet413) {
  Serve({.max_body_bytes = 1000});
  const auto announced = Connect();
  announced->Send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1001\r\n\r\n");
  UntilClosed(*announced);
  EXPECT_THAT(announced->text, StartsWith("HTTP/1.1 413 "));
  EXPECT_THAT(announced->text, HasSubstr("larger than 1000 bytes"));
  const auto chunked = Connect();
  chunked->Send("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3ff\r\n" +
                std::string(1023, 'x') + "\r\n");
  UntilText(*chunked, "HTTP/1.1 413 ");
  EXPECT_EQ(code_.cancelled, static_cast<int>(code_.calls.size()))
      << "what was started is cancelled";
}

TEST_F(ProxyTest, ADisconnectCancelsTheRequest) {
  Serve();
  const auto client = Connect();
  client->Send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  Until([&] { return code_.calls.size() == 1; });
  client->Close();
  Until([&] { return code_.cancelled == 1; });
  Until([&] { return server_->connections() == 0; });
}

TEST_F(ProxyTest, ATimeoutCancelsAndAnswers408) {
  Serve({.request_timeout_s = 0.02});
  const auto client = Connect();
  client->Send("GET / HTTP/1.1\r\nHost: h\r\nx-request-id: t\r\n\r\n");
  UntilText(*client, "Request t timed out after 0.02s.");
  EXPECT_THAT(client->text, StartsWith("HTTP/1.1 408 "));
  Until([&] { return code_.cancelled == 1; });
}

TEST_F(ProxyTest, AReplicaThatDiesIsA500BeforeTheReplyAndACutAfterwards) {
  Serve();
  const auto early = Connect();
  const auto late = Connect();
  early->Send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  Until([&] { return code_.calls.size() == 1; });
  late->Send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  Until([&] { return code_.calls.size() == 2; });
  code_.calls[1]->Reply({.status = 200}, "part", false);
  UntilText(*late, "part");
  // A peer that breaks the protocol is cut off, as a dead one would be.
  for (const auto& [id, queue] : router_.queues()) {
    if (id.app == "root") queue->Apply({.id = id, .available = false});
  }
  router_.Close();
  UntilText(*early, "HTTP/1.1 503 ");
  UntilClosed(*late);
  EXPECT_THAT(late->text, Not(HasSubstr("0\r\n\r\n")));
}

TEST_F(ProxyTest, IdleConnectionsAreClosed) {
  Serve({.keep_alive_timeout = std::chrono::milliseconds(30)});
  code_.on_start = [](const auto& call) { AnswerHttp(*call, "x"); };
  const auto client = Connect();
  client->Send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  UntilText(*client, "\r\n\r\nx");
  UntilClosed(*client);
}

TEST_F(ProxyTest, AHeadThatTricklesIsTimedOutHoweverOftenAByteComes) {
  Serve({.head_timeout = std::chrono::milliseconds(60)});
  const auto client = Connect();
  const auto idle = Connect();
  std::string_view head = "GET / HTTP/1.1\r\nHost: h\r\nx-long: ";
  Until([&] {
    if (!client->closed) client->Send(head.empty() ? "x" : head.substr(0, 1));
    head.remove_prefix(head.empty() ? 0 : 1);
    while (client->Read()) {
    }
    return client->closed;
  });
  EXPECT_THAT(client->text, StartsWith("HTTP/1.1 408 Request Timeout\r\n"));
  EXPECT_THAT(client->text, HasSubstr("The head of the request did not arrive within 0.06s."));
  idle->Read();
  EXPECT_FALSE(idle->closed) << "who has not begun may stay";
  EXPECT_TRUE(code_.calls.empty());
}

TEST_F(ProxyTest, TheTimeOfAHeadIsItsOwnAndNotThatOfABodyOrOfTheNextRequest) {
  Serve({.head_timeout = std::chrono::milliseconds(60)});
  code_.on_start = [](const auto& call) { AnswerHttp(*call, call->TakeBody()); };
  const auto client = Connect();
  client->Send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\no");
  const auto other = Connect();  // its time-out shows that the time has passed
  other->Send("GET");
  UntilClosed(*other);
  client->Send("kGET / HTTP/1.1\r\n");
  UntilText(*client, "\r\n\r\nok");
  client->text.clear();
  UntilText(*client, "HTTP/1.1 408 ");
}

TEST_F(ProxyTest, ABodyOfWhichNothingComesIsTimedOut) {
  Serve({.body_timeout = std::chrono::milliseconds(30)});
  const auto collected = Connect();
  collected->Send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\no");
  UntilClosed(*collected);
  EXPECT_THAT(collected->text, StartsWith("HTTP/1.1 408 Request Timeout\r\n"));
  EXPECT_THAT(collected->text, HasSubstr("connection: close\r\n"));
  EXPECT_THAT(collected->text, HasSubstr("Nothing of the request's body arrived for 0.03s."));
  EXPECT_TRUE(code_.calls.empty());
  const auto unwanted = Connect();  // nobody serves it, but the connection would live on
  unwanted->Send("POST /-/healthz HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\no");
  UntilClosed(*unwanted);
  EXPECT_THAT(unwanted->text, StartsWith("HTTP/1.1 408 "));
  const auto streamed = Connect();
  streamed->Send("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n");
  UntilClosed(*streamed);
  EXPECT_THAT(streamed->text, StartsWith("HTTP/1.1 408 "));
  Until([&] { return code_.cancelled == 1; });
}

TEST_F(ProxyTest, ABodyMayTakeItsTimePieceByPieceAndBesideAReply) {
  Serve({.body_timeout = std::chrono::milliseconds(500)});
  const auto client = Connect();
  client->Send("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
  for (int piece = 0; piece < 4; ++piece) {
    client->Send("1\r\nx\r\n");
    const auto from = loop_->Now();
    Until([&] { return loop_->Now() - from > std::chrono::milliseconds(150); });
  }
  Until([&] { return code_.calls.size() == 1; });
  EXPECT_EQ(client->text, "");
  code_.calls[0]->Reply({.status = 200}, "first", /*end=*/false);
  const auto other = Connect();  // its time-out shows that the time has passed
  other->Send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\no");
  UntilClosed(*other);
  EXPECT_FALSE(client->closed);
  client->Send("0\r\n\r\n");
  code_.calls[0]->Send("last", /*end=*/true);
  UntilText(*client, "last\r\n0\r\n\r\n");
}

TEST_F(ProxyTest, AHeaderThatCarriesALineBreakIsDropped) {
  Serve();
  code_.on_start = [](const auto& call) {
    call->Reply({.status = 200, .headers = {{"x-a", "1\r\nx-evil: 1"}, {"x-b", "2"}}}, "", true);
  };
  const std::string reply = Get("/");
  EXPECT_THAT(reply, Not(HasSubstr("x-evil")));
  EXPECT_THAT(reply, HasSubstr("x-b: 2"));
}

TEST_F(ProxyTest, AnAnnouncedLengthIsKeptToTheByte) {
  Serve();
  code_.on_start = [](const auto& call) {
    call->Reply({.status = 200, .headers = {{"content-length", "3"}}}, "12345", true);
  };
  EXPECT_THAT(Get("/"), testing::EndsWith("\r\n\r\n123"));
  code_.on_start = [](const auto& call) {
    call->Reply({.status = 200, .headers = {{"content-length", "9"}}}, "short", true);
  };
  const auto client = Connect();
  client->Send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  UntilClosed(*client);
}

TEST_F(ProxyTest, UpgradesAreRefusedInWords) {
  Serve();
  const std::string reply =
      Fetch("GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
  EXPECT_THAT(reply, StartsWith("HTTP/1.1 501 "));
}

TEST_F(ProxyTest, TheModelIdHeaderIsNormalised) {
  Serve();
  code_.on_start = [](const auto& call) {
    AnswerHttp(*call, std::string(call->head().multiplexed_model_id));
  };
  EXPECT_THAT(Fetch("GET / HTTP/1.1\r\nHost: h\r\nServe-Multiplexed-Model-Id: m1\r\n\r\n"),
              testing::EndsWith("m1"));
  EXPECT_THAT(Fetch("GET / HTTP/1.1\r\nHost: h\r\nserve_multiplexed_model_id: m2\r\n\r\n"),
              testing::EndsWith("m2"));
}

TEST_F(ProxyTest, TheSessionHeaderIsNormalisedAndMayHaveAnotherName) {
  Serve({.session_header = "x-correlation-id"});
  code_.on_start = [](const auto& call) {
    AnswerHttp(*call, "session " + std::string(call->head().session_id));
  };
  EXPECT_THAT(Fetch("GET / HTTP/1.1\r\nHost: h\r\nX-Correlation-Id: a\r\n\r\n"),
              testing::EndsWith("session a"));
  EXPECT_THAT(Fetch("GET / HTTP/1.1\r\nHost: h\r\nx_correlation_id: b\r\n\r\n"),
              testing::EndsWith("session b"));
  EXPECT_THAT(Fetch("GET / HTTP/1.1\r\nHost: h\r\nx-session-id: c\r\n\r\n"),
              testing::EndsWith("session "));
}

TEST_F(ProxyTest, EveryRequestIsALineInTheAccessLog) {
  Serve({.access_log = Path("access.log"), .node = "127.0.0.1"});
  code_.on_start = [](const auto& call) { AnswerHttp(*call, ""); };
  Fetch("GET /conv/x HTTP/1.1\r\nHost: h\r\nx-request-id: id1\r\n\r\n");
  Get("/nope/at/all");
  Get("/-/healthz");
  Get("/-/routes");
  server_.reset();
  const std::string log = *base::ReadFile(Path("access.log"));
  EXPECT_THAT(log, testing::ContainsRegex(
                       "INFO 20[0-9-]+ [0-9:,]+ proxy 127.0.0.1 id1 -- GET /conv 200 [0-9.]+ms\n"));
  EXPECT_THAT(log, HasSubstr("-- GET / 200 "));
  EXPECT_THAT(log, testing::Not(HasSubstr("/-/"))) << "probes are no news";
}

TEST_F(ProxyTest, ARequestCannotForgeALine) {
  route::RouteUpdate update{.epoch = 1, .http = {{}}};
  update.http->push_back({"/conv", {"conv", "Conv"}});
  router_.Apply(update);
  Start({.access_log = Path("access.log"), .node = "127.0.0.1"});
  Get("/nope%0AINFO%20forged");
  server_.reset();
  const std::string log = *base::ReadFile(Path("access.log"));
  EXPECT_EQ(std::count(log.begin(), log.end(), '\n'), 1) << log;
}

TEST_F(ProxyTest, EveryRequestIsCounted) {
  Serve();
  code_.on_start = [](const auto& call) { AnswerHttp(*call, ""); };
  Get("/conv/a");
  Get("/conv/b");
  Get("/dead/x");
  Get("/-/healthz");
  const auto count = [&](const std::string& name, const std::vector<std::string>& tags) {
    for (const auto& family : server_->Metrics()) {
      if (family.name != name) continue;
      for (const auto& sample : family.samples) {
        if (sample.tags == tags) return sample.value;
      }
    }
    return -1.0;
  };
  EXPECT_EQ(count("serve_num_http_requests", {"/conv", "GET", "conv", "200"}), 2);
  EXPECT_EQ(count("serve_num_http_requests", {"/-/healthz", "GET", "", "200"}), 1);
  EXPECT_GE(count("serve_http_request_latency_ms", {"/conv", "GET", "conv", "200"}), 0);
  EXPECT_EQ(count("serve_num_http_error_requests", {"/dead", "503", "GET", "dead"}), 1);
  EXPECT_EQ(
      count("serve_num_deployment_http_error_requests", {"Dead", "503", "GET", "/dead", "dead"}),
      1);
  EXPECT_EQ(count("serve_num_http_error_requests", {"/conv", "200", "GET", "conv"}), -1);
  EXPECT_EQ(count("serve_num_ongoing_http_requests", {""}), 0);
}

TEST_F(ProxyTest, PathsThatNobodyServesAreNoLabels) {
  route::RouteUpdate update{.epoch = 1, .http = {{}}};
  update.http->push_back({"/conv", {"conv", "Conv"}});
  router_.Apply(update);
  Start({});
  for (const char* path : {"/a", "/b", "/c"}) Get(path);
  for (const auto& family : server_->Metrics()) {
    if (family.name != "serve_num_http_requests") continue;
    ASSERT_EQ(family.samples.size(), 1u);
    EXPECT_EQ(family.samples[0].tags, (std::vector<std::string>{"", "GET", "", "404"}));
    EXPECT_EQ(family.samples[0].value, 3);
  }
}

TEST_F(ProxyTest, AClientSetsItsOwnTimeout) {
  Serve({.request_timeout_s = 60});
  const std::string reply =
      Fetch("GET /conv HTTP/1.1\r\nHost: h\r\nx-request-timeout-seconds: 0.05\r\n\r\n");
  EXPECT_THAT(reply, StartsWith("HTTP/1.1 408 "));
  EXPECT_THAT(reply, HasSubstr("timed out after 0.05s."));
}

TEST_F(ProxyTest, AClientsTimeoutOfZeroIsNoneAndNonsenseIsTheDefault) {
  Serve({.request_timeout_s = 0.05});
  const auto patient = Connect();
  patient->Send("GET /conv HTTP/1.1\r\nHost: h\r\nx-request-timeout-seconds: 0\r\n\r\n");
  const std::string reply =
      Fetch("GET /conv HTTP/1.1\r\nHost: h\r\nx-request-timeout-seconds: 5x\r\n\r\n");
  EXPECT_THAT(reply, StartsWith("HTTP/1.1 408 "));  // later than the first one's would have come
  EXPECT_EQ(patient->text, "");
  code_.calls.at(0)->Reply({.status = 200}, "late", true);
  UntilText(*patient, "late");
}

TEST_F(ProxyTest, ARequestMayOutliveItsClient) {
  Serve();
  const auto client = Connect();
  client->Send("GET /conv HTTP/1.1\r\nHost: h\r\nx-request-disconnect-disabled: ?1\r\n\r\n");
  Until([&] { return code_.calls.size() == 1; });
  client->Close();
  Until([&] { return server_->connections() == 0; });
  Settle();
  EXPECT_FALSE(code_.calls.at(0)->cancelled());
  // More than a window: nobody reads it, and nobody is held up.
  code_.calls.at(0)->Reply({.status = 200}, "", false);
  for (int i = 0; i < 8; ++i)
    code_.calls.at(0)->Send(std::string(base::kBodyWindow / 4, 'x'), false);
  Until([&] { return code_.calls.at(0)->writable(); });
  code_.calls.at(0)->Send("", true);
  Until([&] { return runtime_.ongoing() == 0; });
}

// How many descriptors this process may have, for the time of a test.
class DescriptorLimit {
 public:
  // `more` than it has now.
  explicit DescriptorLimit(unsigned more) {
    EXPECT_EQ(::getrlimit(RLIMIT_NOFILE, &before_), 0);
    // Free numbers below others that are taken would count too.
    for (int i = 0; i < 64; ++i) fillers_.emplace_back(::dup(0));
    rlimit limit = before_;
    limit.rlim_cur = static_cast<rlim_t>(fillers_.back().get()) + 1 + more;
    EXPECT_EQ(::setrlimit(RLIMIT_NOFILE, &limit), 0);
  }
  ~DescriptorLimit() { EXPECT_EQ(::setrlimit(RLIMIT_NOFILE, &before_), 0); }

 private:
  rlimit before_{};
  std::vector<base::UniqueFd> fillers_;
};

TEST_F(ProxyTest, WhereDescriptorsRunOutTheIdlestClientMakesRoom) {
  Serve();
  code_.on_start = [](const auto& call) {
    if (call->head().target == "/") AnswerHttp(*call, "ok");
  };
  EXPECT_THAT(Get("/"), HasSubstr("ok"));  // the replica is connected to
  Until([&] { return server_->connections() == 0; });
  const DescriptorLimit limit(3 * 2 + 1);  // three clients at both ends, and the fourth's own
  std::vector<std::unique_ptr<testing_support::HttpClient>> clients;
  for (int i = 0; i < 3; ++i) {
    clients.push_back(Connect());
    clients.back()->Send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    UntilText(*clients.back(), "ok");
  }
  clients.push_back(Connect());
  clients.back()->Send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  UntilText(*clients.back(), "ok");
  UntilClosed(*clients[0]);
  EXPECT_FALSE(clients[1]->closed);

  // Nobody is idle: the next one waits, at no cost, until one ends.
  for (std::size_t i = 1; i < 4; ++i) clients[i]->Send("GET /slow HTTP/1.1\r\nHost: h\r\n\r\n");
  Until([&] { return code_.calls.size() == 8; });
  clients[0]->Close();
  const auto late = Connect();
  late->Send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  Settle();
  EXPECT_EQ(late->text, "");
  EXPECT_EQ(server_->connections(), 3u);
  clients[1]->Close();
  UntilText(*late, "ok");
}

}  // namespace
}  // namespace penstock
