#include "engine/local/supervisor.h"

#include <signal.h>

#include <algorithm>
#include <utility>

#include "base/log.h"

namespace penstock::engine::local {
namespace {

// A child that lived this long may start again at once.
constexpr Duration kLongLife = std::chrono::seconds(5);
constexpr Duration kFirstDelay = std::chrono::milliseconds(10);
constexpr Duration kLastDelay = std::chrono::seconds(5);

}  // namespace

Supervisor::Supervisor(base::Loop& loop, std::string name, SpawnOptions options)
    : loop_(loop), name_(std::move(name)), options_(std::move(options)), delay_(kFirstDelay) {}

Supervisor::~Supervisor() {
  if (timer_ != 0) loop_.Cancel(timer_);
}

void Supervisor::Stop(std::function<void()> done) {
  stopping_ = true;
  if (timer_ != 0) loop_.Cancel(std::exchange(timer_, 0));
  if (pid() == 0) return done();
  on_stopped_ = std::move(done);
  child_->Signal(SIGTERM);
}

Status Supervisor::Start() {
  started_ = loop_.Now();
  auto child = Child::Spawn(loop_, options_, [this](const Exit& exit) { OnExit(exit.how); });
  if (!child.ok()) return child.status();
  child_ = *std::move(child);
  return {};
}

void Supervisor::OnExit(const std::string& how) {
  if (stopping_) {
    if (on_stopped_) std::exchange(on_stopped_, nullptr)();
    return;
  }
  base::LogError("process_ended", {{"process", name_}, {"how", how}});
  delay_ = loop_.Now() - started_ > kLongLife ? kFirstDelay : std::min(2 * delay_, kLastDelay);
  timer_ = loop_.After(delay_, [this] {
    timer_ = 0;
    if (Status bad = Start(); !bad.ok()) OnExit(bad.message());
  });
}

}  // namespace penstock::engine::local
