#include "engine/local/oom_watch.h"

#include <sstream>
#include <utility>

#include "base/file.h"

namespace penstock::engine::local {
namespace {

// 0 where there is no such line.
std::uint64_t KillsIn(const std::string& path) {
  const auto content = base::ReadFile(path);
  if (!content.ok()) return 0;
  std::istringstream text(*content);
  std::string name;
  std::uint64_t count = 0;
  while (text >> name >> count) {
    if (name == "oom_kill") return count;
  }
  return 0;
}

}  // namespace

OomWatch::OomWatch(base::Loop& loop, Duration period, std::string path)
    : loop_(loop), period_(period), path_(std::move(path)), kills_(KillsIn(path_)) {
  LookLater();
}

OomWatch::~OomWatch() { loop_.Cancel(timer_); }

bool OomWatch::KilledLately() {
  Look();
  return rose_ != kNever && loop_.clock().Now() - rose_ <= period_;
}

void OomWatch::Look() {
  const std::uint64_t kills = KillsIn(path_);
  if (kills > kills_) rose_ = loop_.clock().Now();
  kills_ = kills;
}

void OomWatch::LookLater() {
  timer_ = loop_.After(period_, [this] {
    Look();
    LookLater();
  });
}

}  // namespace penstock::engine::local
