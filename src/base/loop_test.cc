#include "base/loop.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/epoll.h>

#include <string>
#include <thread>

#include "base/socket.h"

namespace penstock::base {
namespace {

using std::chrono::milliseconds;

std::unique_ptr<Loop> MakeLoop() { return *Loop::Create(); }

bool Readable(const Loop& loop) {
  pollfd fd{.fd = loop.fd(), .events = POLLIN, .revents = 0};
  return ::poll(&fd, 1, 0) == 1;
}

class Recorder final : public FdHandler {
 public:
  explicit Recorder(std::function<void()> then) : then_(std::move(then)) {}
  void OnEvents(std::uint32_t) override { then_(); }

 private:
  std::function<void()> then_;
};

class Flusher final : public TurnEndHandler {
 public:
  void OnTurnEnd() override { ++calls; }
  int calls = 0;
};

TEST(Loop, TimersRunInOrderOfTimeThenOfSetting) {
  const auto loop = MakeLoop();
  std::string ran;
  const TimePoint now = loop->Now();
  loop->At(now + milliseconds(2), [&] { ran += "c"; });
  loop->At(now + milliseconds(1), [&] { ran += "a"; });
  loop->At(now + milliseconds(1), [&] { ran += "b"; });
  loop->At(now + milliseconds(3), [&] { loop->Stop(); });
  loop->Run();
  EXPECT_EQ(ran, "abc");
}

TEST(Loop, CancelledTimerDoesNotRun) {
  const auto loop = MakeLoop();
  bool ran = false;
  const auto id = loop->After(Duration::zero(), [&] { ran = true; });
  loop->Cancel(id);
  loop->Cancel(id);
  loop->After(milliseconds(1), [&] { loop->Stop(); });
  loop->Run();
  EXPECT_FALSE(ran);
}

TEST(Loop, TimerThatSetsItselfForNowWaitsATurn) {
  const auto loop = MakeLoop();
  int runs = 0;
  std::function<void()> again = [&] {
    ++runs;
    loop->After(Duration::zero(), again);
  };
  loop->After(Duration::zero(), again);
  loop->RunOnce(milliseconds(100));
  EXPECT_EQ(runs, 1);
}

TEST(Loop, PostedWorkArrivesFromOtherThreadsInOrder) {
  const auto loop = MakeLoop();
  std::string ran;
  std::thread other([&] {
    for (const char c : {'x', 'y', 'z'}) loop->Post([&ran, c] { ran += c; });
    loop->Stop();
  });
  loop->Run();
  other.join();
  EXPECT_EQ(ran, "xyz");
}

TEST(Loop, DescriptorSaysWhenThereIsWork) {
  const auto loop = MakeLoop();
  EXPECT_FALSE(Readable(*loop));
  loop->Post([] {});
  EXPECT_TRUE(Readable(*loop));
  loop->RunOnce(Duration::zero());
  EXPECT_FALSE(Readable(*loop));
  loop->At(loop->Now() - milliseconds(1), [] {});
  EXPECT_TRUE(Readable(*loop));
}

TEST(Loop, TurnEndIsAskedForOnceATurn) {
  const auto loop = MakeLoop();
  Flusher flusher;
  loop->Post([&] {
    loop->AtTurnEnd(flusher);
    loop->AtTurnEnd(flusher);
  });
  loop->RunOnce(Duration::zero());
  EXPECT_EQ(flusher.calls, 1);
}

TEST(Loop, TurnEndOutsideATurnUsesTheHookOrWakes) {
  const auto loop = MakeLoop();
  Flusher flusher;
  loop->AtTurnEnd(flusher);
  EXPECT_TRUE(Readable(*loop));
  loop->RunOnce(Duration::zero());
  EXPECT_EQ(flusher.calls, 1);
  int hooked = 0;
  loop->SetOutsideTurnHook([&] { ++hooked; });
  loop->AtTurnEnd(flusher);
  EXPECT_EQ(hooked, 1);
  loop->RunOnce(Duration::zero());
  EXPECT_EQ(flusher.calls, 2);
}

TEST(Loop, FlushCallsWhatWasAskedForOutsideATurn) {
  const auto loop = MakeLoop();
  loop->SetOutsideTurnHook([] {});
  Flusher flusher;
  loop->AtTurnEnd(flusher);
  loop->Flush();
  EXPECT_EQ(flusher.calls, 1);
  loop->Post([&] {
    loop->AtTurnEnd(flusher);
    loop->Flush();
    EXPECT_EQ(flusher.calls, 1) << "the turn's end is still to come";
  });
  loop->RunOnce(milliseconds(100));
  EXPECT_EQ(flusher.calls, 2);
}

TEST(Loop, ForgottenTurnEndIsNotCalled) {
  const auto loop = MakeLoop();
  Flusher flusher;
  loop->AtTurnEnd(flusher);
  loop->ForgetTurnEnd(flusher);
  loop->RunOnce(Duration::zero());
  EXPECT_EQ(flusher.calls, 0);
}

// Two descriptors are ready in one turn and the first handler unwatches the second.
TEST(Loop, UnwatchedHandlerIsNotCalledForWhatTheTurnAlreadySaw) {
  const auto loop = MakeLoop();
  auto a = *MakeSocketPair();
  auto b = *MakeSocketPair();
  int calls = 0;
  std::unique_ptr<Recorder> first;
  std::unique_ptr<Recorder> second;
  const auto drop_other = [&](UniqueFd& fd, std::unique_ptr<Recorder>& other) {
    ++calls;
    if (!other) return;
    loop->Unwatch(fd.get(), *other);
    other.reset();
  };
  first = std::make_unique<Recorder>([&] { drop_other(b.ours, second); });
  second = std::make_unique<Recorder>([&] { drop_other(a.ours, first); });
  loop->Watch(a.ours.get(), EPOLLIN, *first);
  loop->Watch(b.ours.get(), EPOLLIN, *second);
  ASSERT_EQ(::write(a.theirs.get(), "x", 1), 1);
  ASSERT_EQ(::write(b.theirs.get(), "x", 1), 1);
  loop->RunOnce(milliseconds(100));
  EXPECT_EQ(calls, 1);
}

TEST(Loop, DisposedObjectsLiveUntilTheTurnEnds) {
  const auto loop = MakeLoop();
  auto object = std::make_shared<int>(1);
  const std::weak_ptr<int> weak = object;
  loop->Post([&] {
    loop->Dispose(std::exchange(object, nullptr));
    EXPECT_FALSE(weak.expired());
  });
  loop->RunOnce(Duration::zero());
  EXPECT_TRUE(weak.expired());
}

}  // namespace
}  // namespace penstock::base
