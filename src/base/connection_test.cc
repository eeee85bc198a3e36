#include "base/connection.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <string>
#include <vector>

#include "base/peer.h"
#include "base/socket.h"

namespace penstock::base {
namespace {

using std::chrono::milliseconds;

class ConnectionTest : public testing::Test {
 protected:
  // Turns the loop until `done`, or fails the test after many turns.
  void Until(const std::function<bool()>& done) {
    for (int i = 0; i < 20'000 && !done(); ++i) loop_->RunOnce(milliseconds(10));
    EXPECT_TRUE(done());
  }

  std::shared_ptr<Connection> Open(UniqueFd fd, std::size_t max_payload = 1 << 20) {
    return Connection::Open(
        *loop_, std::move(fd), max_payload,
        {.on_frame = [this](const Frame& f) { frames_.emplace_back(f.payload); },
         .on_closed = [this](const std::string& why) { closed_ = why; }});
  }

  std::unique_ptr<Loop> loop_ = *Loop::Create();
  std::vector<std::string> frames_;
  std::string closed_;
};

TEST_F(ConnectionTest, CarriesFramesInOrderAcrossAFullSocketBuffer) {
  auto pair = *MakeSocketPair();
  const auto a = Open(std::move(pair.ours));
  const auto b = Open(std::move(pair.theirs));
  const std::string big(300'000, 'x');
  for (int i = 0; i < 20; ++i) a->Send({.kind = FrameKind::kBody}, big, std::to_string(i));
  Until([&] { return frames_.size() == 20; });
  for (int i = 0; i < 20; ++i)
    EXPECT_EQ(frames_[static_cast<std::size_t>(i)], big + std::to_string(i));
  EXPECT_EQ(a->unsent(), 0u);
}

TEST_F(ConnectionTest, ATurnsFramesLeaveTogether) {
  auto pair = *MakeSocketPair();
  const auto a = Open(std::move(pair.ours));
  loop_->Post([&] {
    for (int i = 0; i < 3; ++i) a->Send({.kind = FrameKind::kBody}, "abc");
    char byte = 0;
    EXPECT_LT(::recv(pair.theirs.get(), &byte, 1, MSG_PEEK), 0) << "nothing before the turn's end";
  });
  loop_->RunOnce(Duration::zero());
  char bytes[200];
  EXPECT_EQ(::recv(pair.theirs.get(), bytes, sizeof bytes, 0), 3 * (16 + 3));
}

TEST_F(ConnectionTest, ALongTurnDoesNotHoldBackItsFrames) {
  auto pair = *MakeSocketPair();
  const auto a = Open(std::move(pair.ours));
  loop_->Post([&] {
    const TimePoint begun = loop_->clock().Now();
    while (loop_->clock().Now() < begun + milliseconds(1)) {
    }
    for (int i = 0; i < 4; ++i) a->Send({.kind = FrameKind::kBody}, "abc");
    char bytes[200];
    EXPECT_EQ(::recv(pair.theirs.get(), bytes, sizeof bytes, 0), 4 * (16 + 3));
  });
  loop_->RunOnce(Duration::zero());
  EXPECT_EQ(a->unsent(), 0u);
}

TEST_F(ConnectionTest, SaysOnceWhyItEnded) {
  auto pair = *MakeSocketPair();
  const auto a = Open(std::move(pair.ours));
  pair.theirs.Reset();
  Until([&] { return !closed_.empty(); });
  EXPECT_FALSE(a->open());
  a->Send({.kind = FrameKind::kBody}, "dropped");
  a->Close();
}

TEST_F(ConnectionTest, EndsOnAnOversizedFrame) {
  auto pair = *MakeSocketPair();
  const auto a = Open(std::move(pair.ours), 10);
  const auto b = Open(std::move(pair.theirs));
  b->Send({.kind = FrameKind::kBody}, "12345678901");
  Until([&] { return !closed_.empty(); });
  EXPECT_EQ(closed_, "frame of 11 bytes, at most 10 are allowed");
}

TEST_F(ConnectionTest, OwnerMayDropItInsideACallback) {
  auto pair = *MakeSocketPair();
  std::shared_ptr<Connection> a;
  int frames = 0;
  a = Connection::Open(*loop_, std::move(pair.ours), 100,
                       {.on_frame =
                            [&](const Frame&) {
                              ++frames;
                              a->Close();
                              a.reset();
                            },
                        .on_closed = {}});
  const auto b = Open(std::move(pair.theirs));
  b->Send({.kind = FrameKind::kBody}, "1");
  b->Send({.kind = FrameKind::kBody}, "2");
  Until([&] { return !closed_.empty(); });
  EXPECT_EQ(frames, 1);
}

class SharedMemoryTest : public ConnectionTest {
 protected:
  SharedMemoryTest() {
    auto pair = *MakeSocketPair();
    a_ = Open(std::move(pair.ours));
    b_ = Connection::Open(*loop_, std::move(pair.theirs), 1 << 20,
                          {.on_frame =
                               [this](const Frame& f) {
                                 shared_ += f.shared.empty() ? 0 : 1;
                                 heads_.emplace_back(f.payload);
                                 bodies_.emplace_back(f.shared);
                               },
                           .on_closed = [this](const std::string& why) { closed_ = why; }});
    a_->Greet({.kind = FrameKind::kHello}, "hello");
    b_->Greet({.kind = FrameKind::kHello}, "hello");
  }

  std::shared_ptr<Connection> a_;
  std::shared_ptr<Connection> b_;
  int shared_ = 0;
  std::vector<std::string> heads_;
  std::vector<std::string> bodies_;
};

TEST_F(SharedMemoryTest, LargePiecesGoThroughIt) {
  const std::string large(kMaxSlot, 'x');
  // More than there are slots at once: they are used again, and where none is free sockets do.
  for (int i = 0; i < 100; ++i) a_->Send({.kind = FrameKind::kBody}, std::to_string(i), large);
  a_->SendKept({.kind = FrameKind::kBody}, "kept", large, std::make_shared<int>());
  a_->Send({.kind = FrameKind::kBody}, "small", "y");
  Until([&] { return heads_.size() == 103; });
  EXPECT_EQ(heads_[0], "hello");
  int whole = 0;
  for (std::size_t i = 1; i <= 100; ++i) {
    const std::string number = std::to_string(i - 1);
    whole += heads_[i] + bodies_[i] == number + large ? 1 : 0;
  }
  EXPECT_EQ(whole, 100);
  EXPECT_EQ(heads_[101] + bodies_[101], "kept" + large);
  EXPECT_EQ(heads_[102], "smally");
  EXPECT_GE(shared_, 64);
  shared_ = 0;
  a_->Send({.kind = FrameKind::kBody}, "", large);
  Until([&] { return heads_.size() == 104; });
  EXPECT_EQ(shared_, 1) << "slots come back";
}

TEST_F(SharedMemoryTest, ASlotThatIsNotThereEndsTheConnection) {
  a_->Send({.kind = FrameKind::kBody, .flags = kShared}, std::string("\xff\0\0\0\0\0\x04\0", 8));
  Until([&] { return !closed_.empty(); });
  EXPECT_EQ(closed_, "frame in shared memory that is not there");
}

TEST_F(SharedMemoryTest, AReleaseOfNothingEndsTheConnection) {
  b_->Send({.kind = FrameKind::kRelease, .stream = 7});
  Until([&] { return !closed_.empty(); });
  EXPECT_EQ(closed_, "release of a slot that was not taken");
}

class PeerTest : public ConnectionTest {};

TEST_F(PeerTest, CallsAreAnsweredInAnyOrderWithBlobs) {
  auto pair = *MakeSocketPair();
  std::vector<Peer::Respond> waiting;
  const auto server =
      Peer::Open(*loop_, std::move(pair.ours),
                 {.on_call = [&](const std::string&, const Message&,
                                 Peer::Respond respond) { waiting.push_back(std::move(respond)); },
                  .on_notice = {},
                  .on_closed = {}});
  const auto client = Peer::Open(*loop_, std::move(pair.theirs), {});
  std::string got;
  for (const char* name : {"a", "b"}) {
    client->Call(name, {}, [&got, name](const Result<Message>& r) {
      got += name + r->json.get<std::string>() + r->blob;
    });
  }
  Until([&] { return waiting.size() == 2; });
  waiting[1](Message{"two", "blob"});
  waiting[0](Message{"one", ""});
  Until([&] { return got.size() > 8; });
  EXPECT_EQ(got, "btwoblobaone");
}

TEST_F(PeerTest, ErrorsKeepTheirCode) {
  auto pair = *MakeSocketPair();
  const auto server =
      Peer::Open(*loop_, std::move(pair.ours),
                 {.on_call =
                      [&](const std::string& method, const Message&, const Peer::Respond& respond) {
                        respond(Status(Code::kNotFound, "no " + method));
                      },
                  .on_notice = {},
                  .on_closed = {}});
  const auto client = Peer::Open(*loop_, std::move(pair.theirs), {});
  Status status;
  client->Call("verb", {}, [&](const Result<Message>& r) { status = r.status(); });
  Until([&] { return !status.ok(); });
  EXPECT_EQ(status, Status(Code::kNotFound, "no verb"));
}

TEST_F(PeerTest, CallsUnderWayFailWhenTheConnectionEnds) {
  auto pair = *MakeSocketPair();
  const auto client = Peer::Open(*loop_, std::move(pair.ours), {});
  Status status;
  client->Call("verb", {}, [&](const Result<Message>& r) { status = r.status(); });
  pair.theirs.Reset();
  Until([&] { return !status.ok(); });
  EXPECT_EQ(status.code(), Code::kUnavailable);
  Status later;
  client->Call("verb", {}, [&](const Result<Message>& r) { later = r.status(); });
  EXPECT_EQ(later.code(), Code::kUnavailable);
}

TEST_F(PeerTest, NoticesNeedNoAnswer) {
  auto pair = *MakeSocketPair();
  std::string got;
  const auto server = Peer::Open(
      *loop_, std::move(pair.ours),
      {.on_call = {},
       .on_notice = [&](const std::string& method, const Message& m) { got = method + m.blob; },
       .on_closed = {}});
  const auto client = Peer::Open(*loop_, std::move(pair.theirs), {});
  client->Notify("load", {{}, "bytes"});
  Until([&] { return !got.empty(); });
  EXPECT_EQ(got, "loadbytes");
}

TEST_F(PeerTest, GarbageEndsTheConnection) {
  auto pair = *MakeSocketPair();
  const auto server =
      Peer::Open(*loop_, std::move(pair.ours),
                 {.on_call = {}, .on_notice = {}, .on_closed = [&](const std::string& why) {
                    closed_ = why;
                  }});
  const auto other = Open(std::move(pair.theirs));
  other->Send({.kind = FrameKind::kControl, .aux = 1}, "\x05\0\0\0{oops", {});
  other->Send({.kind = FrameKind::kControl, .aux = 1}, std::string("\x05\0\0\0{oops", 9));
  Until([&] { return closed_.find("control message") != std::string::npos; });
}

// What a side that reads its fields without looking makes of messages of the wrong form.
class HastyPeerTest : public PeerTest {
 protected:
  // One frame with `json` to the hasty side, and a few turns.
  void Tell(std::uint16_t aux, const std::string& json) {
    std::string payload(4, '\0');
    payload[0] = static_cast<char>(json.size());
    other_->Send({.kind = FrameKind::kControl, .aux = aux, .stream = 1}, payload, json);
    for (int i = 0; i < 5; ++i) loop_->RunOnce(Duration::zero());
  }

  SocketPair pair_ = *MakeSocketPair();
  std::string ended_;  // why, as the hasty side was told
  std::shared_ptr<Peer> hasty_ = Peer::Open(
      *loop_, std::move(pair_.ours),
      {.on_call = [](const std::string&, const Message& m,
                     const Peer::Respond&) { m.json.at("field").get<std::string>(); },
       .on_notice = [](const std::string&, const Message& m) { m.json.value("field", ""); },
       .on_closed = [this](const std::string& why) { ended_ = why; }});
  std::shared_ptr<Connection> other_ = Open(std::move(pair_.theirs));
};

TEST_F(HastyPeerTest, ACallWithABadFieldIsRefused) {
  Tell(1, R"({"method":"m","params":{"field":1}})");
  Tell(1, R"({"method":5})");
  ASSERT_EQ(frames_.size(), 2u);
  for (const std::string& answer : frames_)
    EXPECT_NE(answer.find("invalid_argument"), std::string::npos);
  EXPECT_TRUE(hasty_->open());
}

TEST_F(HastyPeerTest, ANoticeWithABadFieldEndsTheConnection) {
  Tell(3, R"({"method":"m","params":[]})");
  EXPECT_FALSE(hasty_->open());
  EXPECT_NE(ended_.find("cannot use value() with array"), std::string::npos) << ended_;
}

TEST_F(HastyPeerTest, AMessageThatIsNoObjectEndsTheConnection) {
  Tell(3, "[1]");
  EXPECT_EQ(ended_, "control message is not an object");
}

TEST_F(HastyPeerTest, AnAnswerOfTheWrongFormStillAnswersTheCall) {
  Status status;
  hasty_->Call("verb", {}, [&](const Result<Message>& r) { status = r.status(); });
  Tell(2, R"({"error":"a word"})");
  EXPECT_EQ(status.code(), Code::kUnavailable);
  EXPECT_FALSE(hasty_->open());
}

}  // namespace
}  // namespace penstock::base
