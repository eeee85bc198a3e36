#include "proxy/websocket.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

namespace penstock::proxy {
namespace {

using base::WsKind;

// A client's frame: final, masked with zeros, up to 125 bytes.
std::string Frame(int opcode, const std::string& data) {
  std::string frame;
  frame += static_cast<char>(0x80 | opcode);
  frame += static_cast<char>(0x80 | data.size());
  return frame + std::string(4, '\0') + data;
}

std::string Close(int code) {
  return {static_cast<char>(code >> 8), static_cast<char>(code & 0xff)};
}

class WebSocketTest : public testing::Test {
 protected:
  // What the replica was sent since the last look, in words.
  std::string Messages() {
    reader_.Feed(to_replica_);
    to_replica_.clear();
    std::string words;
    while (const auto message = reader_.Next()) {
      if (message->kind == WsKind::kClose) {
        words += "close " + std::to_string(message->code) + " ";
      } else {
        words += message->kind == WsKind::kText ? "text " : "binary ";
      }
      words += std::string(message->data) + ";";
    }
    return words;
  }

  std::string to_client_, to_replica_;
  base::WsMessageReader reader_;
  WebSocket socket_{to_client_, to_replica_};
};

TEST(WebSocketHandshake, AcceptsAKeyAsTheStandardDoes) {
  // The example of RFC 6455, section 1.3.
  EXPECT_EQ(WebSocketAccept("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

TEST(WebSocketHandshake, WantsEveryPartOfARequest) {
  HttpHead head{
      .method = "GET",
      .headers = {
          {"upgrade", "WebSocket"}, {"sec-websocket-version", "13"}, {"sec-websocket-key", "x"}}};
  EXPECT_TRUE(IsWebSocketRequest(head));
  for (std::size_t i = 0; i < head.headers.size(); ++i) {
    HttpHead lacking = head;
    lacking.headers.erase(lacking.headers.begin() + static_cast<std::ptrdiff_t>(i));
    EXPECT_FALSE(IsWebSocketRequest(lacking)) << i;
  }
  head.method = "POST";
  EXPECT_FALSE(IsWebSocketRequest(head));
}

TEST_F(WebSocketTest, PassesMessagesBothWays) {
  socket_.FromClient(Frame(1, "hi") + Frame(2, "raw"));
  EXPECT_EQ(Messages(), "text hi;binary raw;");
  std::string piece;
  base::AppendWsMessage(piece, {.kind = WsKind::kText, .data = "yo"});
  socket_.FromReplica(piece.substr(0, 3));
  EXPECT_EQ(to_client_, "");
  socket_.FromReplica(piece.substr(3));
  EXPECT_EQ(to_client_, "\x81\x02yo");
}

TEST_F(WebSocketTest, AnswersPingsAndTellsNobody) {
  socket_.FromClient(Frame(9, "p"));
  EXPECT_EQ(to_client_, "\x8a\x01p");
  EXPECT_EQ(Messages(), "");
}

TEST_F(WebSocketTest, AClientsCloseReachesTheReplicaAndIsAnswered) {
  socket_.FromClient(Frame(8, Close(4002) + "why"));
  EXPECT_EQ(Messages(), "close 4002 why;");
  EXPECT_TRUE(socket_.client_closed());
  EXPECT_TRUE(socket_.closed());
  EXPECT_EQ(socket_.code(), 4002);
  EXPECT_EQ(to_client_.substr(2, 2), Close(4002));
}

TEST_F(WebSocketTest, OurCloseIsSaidOnceAndItsAnswerIsNoNews) {
  std::string piece;
  base::AppendWsMessage(piece, {.kind = WsKind::kClose, .code = 4003});
  socket_.FromReplica(piece);
  EXPECT_TRUE(socket_.closed());
  EXPECT_FALSE(socket_.client_closed());
  socket_.FromClient(Frame(8, Close(4003)));
  EXPECT_EQ(Messages(), "");
  EXPECT_TRUE(socket_.client_closed());
  EXPECT_EQ(to_client_.size(), 4u);
}

TEST_F(WebSocketTest, WhatIsNoFrameIsClosedWith1002) {
  socket_.FromClient(std::string("\xff\x80\0\0\0\0", 6));  // reserved bits
  EXPECT_TRUE(socket_.client_closed());
  EXPECT_EQ(socket_.code(), 1002);
  EXPECT_EQ(Messages(), "close 1002 ;");
}

// Mistakes for which wslay has no code.
TEST_F(WebSocketTest, ControlFramesThatAreNoneAreClosedWith1002Too) {
  const std::vector<std::pair<const char*, std::string>> rows{
      {"a ping in pieces", std::string("\x09\x80\0\0\0\0", 6)},
      {"a ping that is too long", std::string("\x89\xfe\0\x7e\0\0\0\0", 8) + std::string(126, 'x')},
      {"a close with half a code", Frame(8, "\x03")}};
  for (const auto& [name, frame] : rows) {
    std::string to_client;
    std::string to_replica;
    WebSocket socket(to_client, to_replica);
    socket.FromClient(Frame(1, "hi") + frame);
    EXPECT_EQ(to_client, "\x88\x02" + Close(1002)) << name;
    EXPECT_TRUE(socket.client_closed()) << name;
    EXPECT_TRUE(socket.closed()) << name;
    EXPECT_EQ(socket.code(), 1002) << name;
    to_replica_ = to_replica;
    EXPECT_EQ(Messages(), "text hi;close 1002 ;") << name;
  }
}

TEST_F(WebSocketTest, TextThatIsNoUtf8IsClosedWith1007) {
  socket_.FromClient(Frame(1, "\xff\xfe"));
  EXPECT_EQ(socket_.code(), 1007);
}

// However it arrives.
TEST_F(WebSocketTest, AReasonThatIsNoUtf8IsClosedWith1007) {
  const std::string frame = Frame(8, Close(1000) + "\xc9ye");
  for (std::size_t cut = 1; cut < frame.size(); ++cut) {
    std::string to_client;
    std::string to_replica;
    WebSocket socket(to_client, to_replica);
    socket.FromClient(frame.substr(0, cut));
    socket.FromClient(frame.substr(cut));
    EXPECT_EQ(socket.code(), 1007) << cut;
    EXPECT_EQ(to_client, "\x88\x02" + Close(1007)) << cut;
  }
}

TEST_F(WebSocketTest, AReplicaThatTalksNonsenseIsClosedWith1011) {
  socket_.FromReplica(std::string("\x09\0\0\0\0", 5));
  EXPECT_TRUE(socket_.closed());
  EXPECT_EQ(socket_.code(), 1011);
}

}  // namespace
}  // namespace penstock::proxy
