// gRPC clients, the real proxy, a scripted replica.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "base/compress.h"
#include "base/file.h"
#include "base/message.h"
#include "proxy/grpc_frames.h"
#include "support/http2_client.h"
#include "support/proxy_fixture.h"

namespace penstock {
namespace {

using base::Json;
using testing::HasSubstr;
using testing::Pair;
using testing_support::Http2Client;

// A message as it travels.
std::string Framed(std::string_view text, std::uint8_t flag = proxy::kGrpcPlain) {
  std::string framed;
  proxy::AppendGrpcPrefix(framed, flag, static_cast<std::uint32_t>(text.size()));
  return framed += text;
}

// What a replica says at the end of a call.
std::string Trailers(int code, const base::ReplyHead& metadata = {}) {
  std::string content;
  base::AppendReplyHead(content,
                        {.status = static_cast<std::uint16_t>(code), .headers = metadata.headers});
  return Framed(content, proxy::kGrpcTrailers);
}

class GrpcTest : public testing_support::ProxyTest {
 protected:
  void ServeGrpc(proxy::ServerOptions options = {}, std::optional<double> request_timeout_s = {},
                 int max_queued = -1) {
    Serve(std::move(options), max_queued, max_queued < 0 ? 100 : 1);
    Json methods = Json::array();
    for (const auto& [name, in, out] : {std::tuple{"One", false, false},
                                        {"Out", false, true},
                                        {"In", true, false},
                                        {"Both", true, true}}) {
      methods.push_back({{"path", std::string("/p.Echo/") + name},
                         {"servicer", "m.add"},
                         {"client_streams", in},
                         {"server_streams", out}});
    }
    const Json file = {
        {"name", "p.proto"}, {"size", 4}, {"imports", Json::array()}, {"symbols", {"p.Echo"}}};
    auto directory = proxy::GrpcDirectory::Parse(
        base::EncodeMessage({{{"methods", methods}, {"files", {file}}}, "FILE"}));
    ASSERT_TRUE(directory.ok()) << directory.status().message();
    auto listener = *base::ListenTcp("127.0.0.1", 0);
    grpc_port_ = base::LocalPort(listener);
    server_->ListenGrpc(std::move(listener), {.directory = *std::move(directory),
                                              .request_timeout_s = request_timeout_s});
    client_ = std::make_unique<Http2Client>(grpc_port_);
  }

  std::int32_t Call(const std::string& path,
                    Http2Client::Fields metadata = {{"application", "conv"}}) {
    metadata.insert(metadata.begin(), {{"content-type", "application/grpc"}, {"te", "trailers"}});
    return client_->Request("POST", path, metadata, /*body=*/true);
  }

  void UntilSo(const std::function<bool()>& done) {
    Until([&] {
      client_->Turn();
      return done();
    });
  }

  // The reply to a call with one message.
  Http2Client::Reply Ask(const std::string& path, std::string_view message = "hi",
                         Http2Client::Fields metadata = {{"application", "conv"}}) {
    const auto id = Call(path, std::move(metadata));
    client_->Send(id, Framed(message), /*end=*/true);
    UntilSo([&] { return client_->reply(id).closed; });
    return client_->reply(id);
  }

  // Of a reply that is only trailers, or has a body before them.
  static std::string Get(const Http2Client::Reply& reply, const std::string& name) {
    const auto& fields = reply.trailers.empty() ? reply.head : reply.trailers;
    const auto found = fields.find(name);
    return found == fields.end() ? "" : found->second;
  }

  // Answers each call with its message again.
  void Echo() {
    code_.on_start = [](const auto& call) {
      auto answer = [raw = call.get()] {
        if (raw->body_ended()) raw->Reply(raw->TakeBody() + Trailers(0), false);
      };
      call->SetOnBody(answer);
      answer();
    };
  }

  int grpc_port_ = 0;
  std::unique_ptr<Http2Client> client_;
};

TEST_F(GrpcTest, AUnaryCallCarriesMessageAndMetadata) {
  ServeGrpc();
  code_.on_start = [](const auto& call) {
    const std::string body = call->TakeBody();
    call->Reply(body + Trailers(0, {.headers = {{"kitchen", "open"}}}), false);
  };
  const auto reply = Ask("/p.Echo/One", "hello",
                         {{"application", "conv"},
                          {"request_id", "g-1"},
                          {"multiplexed_model_id", "m1"},
                          {"x-custom", "v"}});
  EXPECT_EQ(reply.head.at(":status"), "200");
  EXPECT_EQ(reply.head.at("content-type"), "application/grpc");
  EXPECT_EQ(reply.body, Framed("hello"));
  EXPECT_EQ(reply.trailers.at("grpc-status"), "0");
  EXPECT_EQ(reply.trailers.at("request_id"), "g-1");
  EXPECT_EQ(reply.trailers.at("kitchen"), "open");
  const auto& head = code_.calls.at(0)->head();
  EXPECT_EQ(head.kind, base::CallKind::kGrpc);
  EXPECT_EQ(head.flags, 0);
  EXPECT_EQ(head.app, "conv");
  EXPECT_EQ(head.method, "One");
  EXPECT_EQ(head.target, "/p.Echo/One");
  EXPECT_EQ(head.servicer, "m.add");
  EXPECT_EQ(head.request_id, "g-1");
  EXPECT_EQ(head.multiplexed_model_id, "m1");
  EXPECT_THAT(head.headers, testing::Contains(Pair("x-custom", "v")));
}

TEST_F(GrpcTest, AnApplicationIsFoundByItsName) {
  ServeGrpc();
  Echo();
  EXPECT_EQ(Get(Ask("/p.Echo/One", "a", {{"application", "deep"}}), "grpc-status"), "0");
  EXPECT_EQ(code_.calls.back()->head().app, "deep");
  const auto unknown = Ask("/p.Echo/One", "a", {{"application", "nope"}});
  EXPECT_EQ(Get(unknown, "grpc-status"), "5");
  EXPECT_EQ(Get(unknown, "grpc-message"),
            "Application 'nope' not found. Ping /ray.serve.RayServeAPIService/ListApplications for "
            "available applications.");
  const auto none = Ask("/p.Echo/One", "a", {});
  EXPECT_EQ(Get(none, "grpc-status"), "5");
  EXPECT_THAT(Get(none, "grpc-message"), HasSubstr("Application metadata not set."));
  EXPECT_EQ(Get(none, "request_id").size(), 36u);
}

TEST_F(GrpcTest, TheOnlyApplicationNeedsNoName) {
  ServeGrpc();
  Echo();
  router_.Apply({.epoch = 2, .http = {{{"/conv", {"conv", "Conv"}}}}});
  EXPECT_EQ(Get(Ask("/p.Echo/One", "a", {}), "grpc-status"), "0");
  EXPECT_EQ(Get(Ask("/p.Echo/One", "a", {{"application", "other"}}), "grpc-status"), "0");
  EXPECT_EQ(code_.calls.back()->head().app, "conv");
}

TEST_F(GrpcTest, WhatIsNoCallIsRefused) {
  ServeGrpc();
  EXPECT_EQ(Get(Ask("/p.Echo/Nope"), "grpc-status"), "12");
  EXPECT_EQ(Get(Ask("/nope"), "grpc-status"), "12");
  const auto get = client_->Request("GET", "/p.Echo/One");
  const auto text = client_->Request("POST", "/p.Echo/One", {{"content-type", "text/plain"}});
  UntilSo([&] { return client_->reply(get).closed && client_->reply(text).closed; });
  EXPECT_EQ(client_->reply(get).head.at(":status"), "415");
  EXPECT_EQ(client_->reply(text).head.at(":status"), "415");
  EXPECT_TRUE(code_.calls.empty());
}

TEST_F(GrpcTest, MalformedCallsAreRefusedInWords) {
  ServeGrpc();
  const std::vector<std::tuple<Http2Client::Fields, std::string, std::string>> cases = {
      {{{"grpc-timeout", "soon"}}, Framed("a"), "13"},
      {{{"grpc-encoding", "snappy"}}, Framed("a"), "12"},
      {{}, Framed("a", proxy::kGrpcCompressed), "13"},
      {{}, Framed("a", 7), "13"},
      {{}, "", "12"},
      {{}, Framed("a") + Framed("b"), "12"},
      {{}, Framed("a").substr(0, 3), "13"},
      {{}, Framed("abc").substr(0, 6), "13"},
      {{}, std::string("\0\x7f\xff\xff\xff", 5), "8"},
  };
  for (auto [fields, body, status] : cases) {
    fields.emplace_back("application", "conv");
    const auto id = Call("/p.Echo/One", fields);
    client_->Send(id, body, /*end=*/true);
    UntilSo([&] { return client_->reply(id).closed; });
    EXPECT_EQ(Get(client_->reply(id), "grpc-status"), status) << body;
    EXPECT_NE(Get(client_->reply(id), "grpc-message"), "") << body;
  }
  Until([&] { return runtime_.ongoing() == 0; });
}

TEST_F(GrpcTest, MessagesStreamBothWays) {
  ServeGrpc();
  const auto id = Call("/p.Echo/Both");
  UntilSo([&] { return code_.calls.size() == 1; });
  auto& call = *code_.calls[0];
  EXPECT_EQ(call.head().flags, base::kStreamReply | base::kStreamRequest);
  client_->Send(id, Framed("one"));
  std::string received;
  UntilSo([&] { return (received += call.TakeBody()) == Framed("one"); });
  call.Send(Framed("1"), false);
  UntilSo([&] { return client_->reply(id).body == Framed("1"); });
  client_->Send(id, Framed("two"), /*end=*/true);
  UntilSo([&] { return (received += call.TakeBody()) == Framed("one") + Framed("two"); });
  UntilSo([&] { return call.body_ended(); });
  // Cut anywhere: frames of the wire know nothing of messages.
  const std::string rest = Framed("2") + Trailers(0);
  for (const char c : rest) call.Send(std::string(1, c), false);
  call.Send("", true);
  UntilSo([&] { return client_->reply(id).closed; });
  EXPECT_EQ(client_->reply(id).body, Framed("1") + Framed("2"));
  EXPECT_EQ(Get(client_->reply(id), "grpc-status"), "0");
}

TEST_F(GrpcTest, AStatusWithoutMessagesIsTrailersOnly) {
  ServeGrpc();
  code_.on_start = [](const auto& call) {
    call->Reply(Trailers(5, {.headers = {{"grpc-message", "nothing th\xc3\xa9re"}}}), false);
  };
  const auto reply = Ask("/p.Echo/One");
  EXPECT_TRUE(reply.trailers.empty());
  EXPECT_EQ(reply.head.at("grpc-status"), "5");
  EXPECT_EQ(reply.head.at("grpc-message"), "nothing th%C3%A9re");
}

TEST_F(GrpcTest, ARepliesEncodingIsTold) {
  ServeGrpc();
  code_.on_start = [](const auto& call) {
    std::string head;
    base::AppendReplyHead(head, {.status = 0, .headers = {{"grpc-encoding", "gzip"}}});
    call->Reply(
        Framed(head, proxy::kGrpcInitial) + Framed("zip", proxy::kGrpcCompressed) + Trailers(0),
        false);
  };
  const auto reply = Ask("/p.Echo/One");
  EXPECT_EQ(reply.head.at("grpc-encoding"), "gzip");
  EXPECT_EQ(reply.body, Framed("zip", proxy::kGrpcCompressed));
}

TEST_F(GrpcTest, AReplyWithoutAStatusIsInternal) {
  ServeGrpc();
  code_.on_start = [](const auto& call) { call->Reply(Framed("only"), false); };
  EXPECT_EQ(Get(Ask("/p.Echo/One"), "grpc-status"), "13");
  code_.on_start = [](const auto& call) { call->Reply("Ewhat", /*failure=*/true); };
  EXPECT_EQ(Get(Ask("/p.Echo/One"), "grpc-status"), "13");
}

TEST_F(GrpcTest, DeadlinesOfClientAndServerEndACall) {
  ServeGrpc({}, /*request_timeout_s=*/0.02);
  const auto ours = Ask("/p.Echo/One");
  EXPECT_EQ(Get(ours, "grpc-status"), "4");
  EXPECT_EQ(Get(ours, "grpc-message"), "Request timed out after 0.02s.");
  const auto theirs = Ask("/p.Echo/One", "a", {{"application", "conv"}, {"grpc-timeout", "10m"}});
  EXPECT_EQ(Get(theirs, "grpc-status"), "4");
  EXPECT_EQ(Get(theirs, "grpc-message"), "Request timed out.");
  Until([&] { return code_.cancelled == 2; });
}

TEST_F(GrpcTest, FailuresOfTheRouterHaveACode) {
  ServeGrpc({}, {}, /*max_queued=*/0);
  const auto dead = Ask("/p.Echo/One", "a", {{"application", "dead"}});
  EXPECT_EQ(Get(dead, "grpc-status"), "14");
  EXPECT_THAT(Get(dead, "grpc-message"), HasSubstr("is unavailable because it failed to deploy."));
  const auto first = Call("/p.Echo/One");
  client_->Send(first, Framed("a"), /*end=*/true);
  UntilSo([&] { return code_.calls.size() == 1; });
  const auto full = Ask("/p.Echo/One");
  EXPECT_EQ(Get(full, "grpc-status"), "8");
  EXPECT_THAT(Get(full, "grpc-message"), HasSubstr("due to backpressure"));
}

TEST_F(GrpcTest, ACancelledCallIsCancelled) {
  ServeGrpc();
  const auto id = Call("/p.Echo/Out");
  client_->Send(id, Framed("a"), /*end=*/true);
  UntilSo([&] { return code_.calls.size() == 1; });
  client_->Reset(id);
  UntilSo([&] { return code_.cancelled == 1; });
}

TEST_F(GrpcTest, ASlowReaderHoldsTheReplicaBack) {
  ServeGrpc();
  client_ = std::make_unique<Http2Client>(grpc_port_, /*window=*/10'000);
  const auto id = Call("/p.Echo/Out");
  client_->Send(id, Framed("a"), /*end=*/true);
  UntilSo([&] { return code_.calls.size() == 1; });
  auto& call = *code_.calls[0];
  const std::string message = Framed(std::string(50'000, 's'));
  for (int i = 0; i < 200 && call.writable(); ++i) {
    call.Send(message, false);
    client_->Turn();
    Settle();
  }
  EXPECT_FALSE(call.writable());
  std::size_t read = 0;
  UntilSo([&] {
    client_->Consume(id, client_->reply(id).body.size() - read);
    read = client_->reply(id).body.size();
    return call.writable();
  });
}

TEST_F(GrpcTest, RayServesOwnServiceAnswers) {
  ServeGrpc();
  const auto list = Ask("/ray.serve.RayServeAPIService/ListApplications", "", {});
  EXPECT_EQ(list.body, Framed("\x0a\x04"
                              "conv"
                              "\x0a\x04"
                              "dead"
                              "\x0a\x04"
                              "deep"
                              "\x0a\x04"
                              "root"));
  EXPECT_EQ(Get(list, "grpc-status"), "0");
  EXPECT_EQ(Ask("/ray.serve.RayServeAPIService/Healthz", "", {}).body, Framed("\x0a\x07success"));
}

TEST_F(GrpcTest, BeforeTheRoutesAreKnownItIsUnavailableAndSaysSo) {
  ServeGrpc();
  route::Router fresh(*loop_);
  proxy::Server server(*loop_, *base::ListenTcp("127.0.0.1", 0), fresh, {});
  auto listener = *base::ListenTcp("127.0.0.1", 0);
  client_ = std::make_unique<Http2Client>(base::LocalPort(listener));
  server.ListenGrpc(std::move(listener), {});
  const auto health = Ask("/ray.serve.RayServeAPIService/Healthz", "", {});
  EXPECT_EQ(Get(health, "grpc-status"), "14");
  EXPECT_THAT(health.body, HasSubstr("Route table is not populated yet."));
  EXPECT_EQ(Ask("/grpc.health.v1.Health/Check", "", {}).body, Framed("\x08\x02"));
}

TEST_F(GrpcTest, HealthIsThatOfTheProxyAndItsServices) {
  ServeGrpc();
  EXPECT_EQ(Ask("/grpc.health.v1.Health/Check", "", {}).body, Framed("\x08\x01"));
  EXPECT_EQ(Ask("/grpc.health.v1.Health/Check", "\x0a\x06p.Echo", {}).body, Framed("\x08\x01"));
  EXPECT_EQ(Get(Ask("/grpc.health.v1.Health/Check", "\x0a\x03p.X", {}), "grpc-status"), "5");
  EXPECT_EQ(Get(Ask("/grpc.health.v1.Health/Check", "\x0a\x7f", {}), "grpc-status"), "13");
  EXPECT_EQ(Get(Ask("/grpc.health.v1.Health/Watch", "", {}), "grpc-status"), "12");
}

TEST_F(GrpcTest, ReflectionAnswersEachMessage) {
  ServeGrpc();
  for (const char* version : {"v1", "v1alpha"}) {
    const auto id =
        Call(std::string("/grpc.reflection.") + version + ".ServerReflection/ServerReflectionInfo");
    client_->Send(id, Framed(std::string("\x3a\x00", 2)));  // list_services
    UntilSo([&] { return client_->reply(id).body.find("p.Echo") != std::string::npos; });
    client_->Send(id, Framed("\x22\x06p.Echo"));  // file_containing_symbol
    UntilSo([&] { return client_->reply(id).body.find("FILE") != std::string::npos; });
    client_->Send(id, Framed("\x1a\x01x"));  // file_by_filename
    UntilSo([&] { return client_->reply(id).body.find("not found: x") != std::string::npos; });
    client_->Send(id, "", /*end=*/true);
    UntilSo([&] { return client_->reply(id).closed; });
    EXPECT_EQ(Get(client_->reply(id), "grpc-status"), "0");
  }
}

TEST_F(GrpcTest, ACompressedMessageToOurOwnServicesIsRead) {
  ServeGrpc();
  const auto id = Call("/grpc.health.v1.Health/Check", {{"grpc-encoding", "gzip"}});
  client_->Send(id, Framed(*base::Compress("gzip", "\x0a\x06p.Echo"), proxy::kGrpcCompressed),
                true);
  UntilSo([&] { return client_->reply(id).closed; });
  EXPECT_EQ(client_->reply(id).body, Framed("\x08\x01"));
}

TEST_F(GrpcTest, AReaderThatDoesNotReadGetsNoMoreAnswers) {
  ServeGrpc();
  client_ = std::make_unique<Http2Client>(grpc_port_, /*window=*/1000);
  const auto id = Call("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo");
  std::string questions;
  for (int i = 0; i < 100'000; ++i) questions += Framed("\x1a\x01x");
  client_->Send(id, questions);
  for (int i = 0; i < 20; ++i) {
    client_->Turn();
    Settle();
  }
  EXPECT_GT(client_->unsent(id), questions.size() / 2) << "what it asks stays with it";
}

TEST_F(GrpcTest, EveryCallIsALineInTheAccessLog) {
  ServeGrpc({.access_log = Path("access.log"), .node = "127.0.0.1"});
  Echo();
  Ask("/p.Echo/One", "a", {{"application", "conv"}, {"request_id", "id1"}});
  Ask("/p.Echo/One", "a", {{"application", "nope"}});
  Ask("/ray.serve.RayServeAPIService/Healthz", "", {});
  server_.reset();
  const std::string log = *base::ReadFile(Path("access.log"));
  EXPECT_THAT(log, HasSubstr(" id1 -- /p.Echo/One conv OK "));
  EXPECT_THAT(log, HasSubstr(" -- /p.Echo/One  NOT_FOUND "));
  EXPECT_THAT(log, testing::Not(HasSubstr("Healthz")));
}

TEST_F(GrpcTest, EveryCallIsCounted) {
  ServeGrpc({});
  Echo();
  Ask("/p.Echo/One", "a", {{"application", "conv"}});
  Ask("/p.Echo/One", "a", {{"application", "nope"}});
  Ask("/p.Nobody/Has", "a", {{"application", "conv"}});
  Ask("/ray.serve.RayServeAPIService/Healthz", "", {});
  const auto count = [&](const std::string& name, const std::vector<std::string>& tags) {
    for (const auto& family : server_->Metrics()) {
      if (family.name != name) continue;
      for (const auto& sample : family.samples) {
        if (sample.tags == tags) return sample.value;
      }
    }
    return -1.0;
  };
  EXPECT_EQ(count("serve_num_grpc_requests", {"conv", "/p.Echo/One", "conv", "OK"}), 1);
  EXPECT_EQ(
      count("serve_num_grpc_requests", {"", "/ray.serve.RayServeAPIService/Healthz", "", "OK"}), 1);
  EXPECT_EQ(count("serve_num_grpc_error_requests", {"", "NOT_FOUND", "", ""}), 1);
  EXPECT_EQ(count("serve_num_grpc_error_requests", {"", "UNIMPLEMENTED", "", ""}), 1)
      << "methods that nobody has are no labels";
  EXPECT_EQ(count("serve_num_ongoing_grpc_requests", {""}), 0);
  for (const auto& family : server_->Metrics()) {
    if (family.name != "serve_num_http_requests") continue;
    EXPECT_TRUE(family.samples.empty()) << "gRPC is counted by itself";
  }
}

}  // namespace
}  // namespace penstock
