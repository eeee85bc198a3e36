#include "base/loop.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "base/progress_page.h"
#include "penstock/check.h"

namespace penstock::base {
namespace {

constexpr int kEventsPerTurn = 256;

void Control(int epoll, int operation, int fd, std::uint32_t events, FdHandler* handler) {
  epoll_event event{};
  event.events = events;
  event.data.ptr = handler;
  PENSTOCK_CHECK(::epoll_ctl(epoll, operation, fd, &event) == 0);
}

int Milliseconds(Duration wait) {
  // Rounded up: a wait of 0.4 ms that returned at once would spin.
  const auto ms = std::chrono::ceil<std::chrono::milliseconds>(wait).count();
  return static_cast<int>(std::min<std::int64_t>(ms, 1'000'000));
}

}  // namespace

class Loop::Drain final : public FdHandler {
 public:
  explicit Drain(int fd) : fd_(fd) {}
  void OnEvents(std::uint32_t) override {
    std::uint64_t count = 0;
    // EAGAIN: another turn has read it already, which is as good.
    [[maybe_unused]] const auto n = ::read(fd_, &count, sizeof count);
  }

 private:
  int fd_;
};

Loop::Loop(Key) {}
Loop::~Loop() = default;

Result<std::unique_ptr<Loop>> Loop::Create() {
  auto loop = std::make_unique<Loop>(Key());
  loop->epoll_ = UniqueFd(::epoll_create1(EPOLL_CLOEXEC));
  loop->wake_ = UniqueFd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  loop->timer_ = UniqueFd(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
  if (!loop->epoll_ || !loop->wake_ || !loop->timer_) {
    return Internal(std::string("cannot create an event loop: ") + std::strerror(errno));
  }
  loop->drain_wake_ = std::make_unique<Drain>(loop->wake_.get());
  loop->drain_timer_ = std::make_unique<Drain>(loop->timer_.get());
  loop->Watch(loop->wake_.get(), EPOLLIN, *loop->drain_wake_);
  loop->Watch(loop->timer_.get(), EPOLLIN, *loop->drain_timer_);
  loop->now_ = loop->clock_.Now();
  return loop;
}

void Loop::Watch(int fd, std::uint32_t events, FdHandler& handler) {
  Control(epoll_.get(), EPOLL_CTL_ADD, fd, events, &handler);
}

void Loop::Rewatch(int fd, std::uint32_t events, FdHandler& handler) {
  Control(epoll_.get(), EPOLL_CTL_MOD, fd, events, &handler);
}

void Loop::Unwatch(int fd, const FdHandler& handler) {
  Control(epoll_.get(), EPOLL_CTL_DEL, fd, 0, nullptr);
  for (auto& [ready, events] : ready_) {
    if (ready == &handler) ready = nullptr;
  }
}

Loop::TimerId Loop::At(TimePoint when, Task task) {
  const TimerId id = next_timer_++;
  timers_.emplace(std::pair(when, id), std::move(task));
  timer_times_.emplace(id, when);
  ArmTimer();
  return id;
}

void Loop::Cancel(TimerId id) {
  const auto found = timer_times_.find(id);
  if (found == timer_times_.end()) return;
  timers_.erase({found->second, id});
  timer_times_.erase(found);
  // The descriptor stays armed: an early wake is cheaper than a system call per cancel.
}

// Only ever brings the alarm forward; RunTimers sets it anew after it rang.
void Loop::ArmTimer() {
  if (timers_.empty()) return;
  const TimePoint first = timers_.begin()->first.first;
  if (first >= armed_ || first == kNever) return;
  armed_ = first;
  const Duration since_boot = std::max(first.time_since_epoch(), Duration(1));
  itimerspec spec{};
  spec.it_value.tv_sec = std::chrono::duration_cast<std::chrono::seconds>(since_boot).count();
  spec.it_value.tv_nsec = (since_boot % std::chrono::seconds(1)).count();
  PENSTOCK_CHECK(::timerfd_settime(timer_.get(), TFD_TIMER_ABSTIME, &spec, nullptr) == 0);
}

void Loop::Post(Task task) {
  const bool first = posted_.With([&](auto& tasks) {
    tasks.push_back(std::move(task));
    return tasks.size() == 1;
  });
  if (first) Wake();
}

void Loop::Wake() const {
  const std::uint64_t one = 1;
  // EAGAIN means that the counter is full: the loop is awake already.
  [[maybe_unused]] const auto n = ::write(wake_.get(), &one, sizeof one);
}

void Loop::AtTurnEnd(TurnEndHandler& handler) {
  if (std::exchange(handler.asked_, true)) return;
  turn_end_.push_back(&handler);
  if (in_turn_ || turn_end_.size() > 1) return;
  if (outside_turn_) {
    outside_turn_();
  } else {
    Wake();
  }
}

void Loop::Flush() {
  if (in_turn_) return;
  in_turn_ = true;
  now_ = clock_.Now();
  EndTurn();
  in_turn_ = false;
}

void Loop::ForgetTurnEnd(TurnEndHandler& handler) {
  if (!std::exchange(handler.asked_, false)) return;
  std::replace(turn_end_.begin(), turn_end_.end(), &handler, static_cast<TurnEndHandler*>(nullptr));
}

void Loop::Dispose(std::shared_ptr<void> object) {
  disposed_.push_back(std::move(object));
  if (!in_turn_) Wake();
}

void Loop::RunOnce(Duration wait) {
  std::array<epoll_event, kEventsPerTurn> events;
  const int count = ::epoll_wait(epoll_.get(), events.data(), kEventsPerTurn, Milliseconds(wait));
  in_turn_ = true;
  now_ = clock_.Now();
  if (page_ != nullptr) page_->NoteTurn(now_);
  ready_.clear();
  for (int i = 0; i < count; ++i) {
    const auto& event = events[static_cast<std::size_t>(i)];
    ready_.emplace_back(static_cast<FdHandler*>(event.data.ptr), event.events);
  }
  for (std::size_t i = 0; i < ready_.size(); ++i) {
    if (ready_[i].first != nullptr) ready_[i].first->OnEvents(ready_[i].second);
  }
  ready_.clear();
  RunPosted();
  RunTimers();
  EndTurn();
  in_turn_ = false;
}

void Loop::RunPosted() {
  const std::vector<Task> tasks = posted_.With([](auto& all) { return std::exchange(all, {}); });
  for (const Task& task : tasks) task();
}

void Loop::RunTimers() {
  if (timers_.empty() || timers_.begin()->first.first > now_) {
    if (armed_ <= now_) armed_ = kNever;
    ArmTimer();
    return;
  }
  armed_ = kNever;
  // Those due now and no others: a timer that sets itself anew for "at once" waits a turn.
  const TimerId limit = next_timer_;
  auto it = timers_.begin();
  while (it != timers_.end() && it->first.first <= now_) {
    if (it->first.second >= limit) {
      ++it;
      continue;
    }
    const Task task = std::move(it->second);
    timer_times_.erase(it->first.second);
    timers_.erase(it);
    task();
    it = timers_.begin();
  }
  ArmTimer();
}

void Loop::EndTurn() {
  for (std::size_t i = 0; i < turn_end_.size(); ++i) {
    TurnEndHandler* handler = std::exchange(turn_end_[i], nullptr);
    if (handler == nullptr) continue;
    handler->asked_ = false;  // first, so that it may ask again
    handler->OnTurnEnd();
  }
  turn_end_.clear();
  // Destructors may dispose of more.
  while (!disposed_.empty()) {
    const auto done = std::exchange(disposed_, {});
  }
}

void Loop::Run() {
  running_ = true;
  while (running_) RunOnce(std::chrono::hours(1));
}

void Loop::Stop() {
  Post([this] { running_ = false; });
}

}  // namespace penstock::base
