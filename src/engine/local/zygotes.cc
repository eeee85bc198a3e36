#include "engine/local/zygotes.h"

#include <algorithm>
#include <utility>

#include "base/log.h"

namespace penstock::engine::local {
namespace {

// Each is an interpreter in memory.
constexpr std::size_t kMost = 4;
constexpr Duration kFirstDelay = std::chrono::seconds(1);
constexpr Duration kLastDelay = std::chrono::seconds(60);

}  // namespace

Zygotes::Zygotes(base::Loop& loop, const NodeContext& context, std::function<void()> changed)
    : loop_(loop), context_(context), changed_(std::move(changed)) {}

void Zygotes::WarmUp(const ZygoteKey& key) {
  Entry& entry = entries_[key];
  entry.used = loop_.Now();
  if (const Status bad = Ensure(key, entry); !bad.ok()) {
    base::LogWarning("zygote_not_started", {{"why", bad.message()}});
  }
}

void Zygotes::Fork(const ZygoteKey& key, ForkRequest request, OnForked done) {
  Entry& entry = entries_[key];
  entry.used = loop_.Now();
  if (const Status bad = Ensure(key, entry); !bad.ok()) return done(bad, loop_.clock().Now());
  entry.zygote->Fork(std::move(request), std::move(done));
}

Status Zygotes::Ensure(const ZygoteKey& key, Entry& entry) {
  if (entry.zygote && entry.zygote->running()) return {};
  if (entry.zygote) leaving_.push_back(std::exchange(entry.zygote, nullptr));
  if (stopping_) return {Code::kUnavailable, "the node ends"};
  if (loop_.Now() < entry.not_before) {
    return {Code::kUnavailable, "the last zygote could not be started, or forked nothing"};
  }
  MakeRoom();
  const auto number = std::make_shared<const Zygote*>(nullptr);
  auto zygote = Zygote::Start(
      loop_, Options(key),
      {.answered = [this] { changed_(); },
       .gone = [this, key, number](const std::string& how) { OnGone(key, *number, how); }});
  if (!zygote.ok()) {
    Failed(entry);
    return zygote.status();
  }
  entry.zygote = *std::move(zygote);
  *number = entry.zygote.get();
  base::LogInfo("zygote_started",
                {{"pid", std::to_string(entry.zygote->pid())}, {"python", key.python}});
  return {};
}

SpawnOptions Zygotes::Options(const ZygoteKey& key) const {
  SpawnOptions options{.argv = {key.python, "-m", "penstock._zygote", "3"},
                       .variables = ZygoteVariables(context_.environment, key),
                       // Where no module is that could be imported in the place of another.
                       .folder = context_.paths.sockets(),
                       .log_path = context_.paths.logs() + "/zygote_stderr.log",
                       .descriptors = {}};
  options.variables["PENSTOCK_INSTANCE"] = context_.paths.folder;
  options.variables[kReplicaMark] = kNoReplica;
  return options;
}

void Zygotes::Failed(Entry& entry) const {
  entry.delay = std::clamp(2 * entry.delay, kFirstDelay, kLastDelay);
  entry.not_before = loop_.Now() + entry.delay;
}

void Zygotes::MakeRoom() {
  const auto running = [](const auto& item) {
    return item.second.zygote && item.second.zygote->running();
  };
  if (std::count_if(entries_.begin(), entries_.end(), running) < std::ptrdiff_t{kMost}) return;
  const auto oldest =
      std::min_element(entries_.begin(), entries_.end(), [&](const auto& a, const auto& b) {
        return std::pair(!running(a) || a.second.zygote->busy(), a.second.used) <
               std::pair(!running(b) || b.second.zygote->busy(), b.second.used);
      });
  if (running(*oldest) && !oldest->second.zygote->busy()) oldest->second.zygote->Kill();
}

void Zygotes::OnGone(const ZygoteKey& key, const Zygote* zygote, const std::string& how) {
  base::LogInfo("zygote_ended", {{"how", how}, {"python", key.python}});
  const auto entry = entries_.find(key);
  const auto left = std::find_if(leaving_.begin(), leaving_.end(),
                                 [&](const auto& leaving) { return leaving.get() == zygote; });
  if (left != leaving_.end()) {
    loop_.Dispose(std::move(*left));  // it is calling us
    leaving_.erase(left);
  } else if (entry != entries_.end() && entry->second.zygote.get() == zygote) {
    const bool proved = zygote->proved();
    loop_.Dispose(std::move(entry->second.zygote));
    if (proved) {
      entries_.erase(entry);
    } else {
      Failed(entry->second);
    }
  }
  changed_();
}

bool Zygotes::forking() const {
  const auto busy = [](const auto& zygote) { return zygote && zygote->busy(); };
  return std::any_of(leaving_.begin(), leaving_.end(), busy) ||
         std::any_of(entries_.begin(), entries_.end(),
                     [&](const auto& item) { return busy(item.second.zygote); });
}

std::vector<int> Zygotes::pids() const {
  std::vector<int> pids;
  pids.reserve(leaving_.size() + entries_.size());
  for (const auto& zygote : leaving_) pids.push_back(zygote->pid());
  for (const auto& [key, entry] : entries_) {
    if (entry.zygote) pids.push_back(entry.zygote->pid());
  }
  return pids;
}

void Zygotes::Stop() {
  stopping_ = true;
  for (const auto& zygote : leaving_) zygote->Kill();
  for (const auto& [key, entry] : entries_) {
    if (entry.zygote) entry.zygote->Kill();
  }
}

}  // namespace penstock::engine::local
