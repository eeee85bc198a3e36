#include "engine/local/health_watch.h"

#include <cmath>
#include <utility>

#include "engine/local/process_tree.h"

namespace penstock::engine::local {
namespace {

using base::Json;
using base::Message;

// How long a replica that is held up has to say what it does.
constexpr Duration kExplains = std::chrono::milliseconds(200);
constexpr const char* kHolds = "code that holds the interpreter's lock";

// "30", "0.5".
std::string Text(double seconds) {
  std::string text = Json(seconds).dump();
  return text.ends_with(".0") ? text.substr(0, text.size() - 2) : text;
}

std::string Rounded(Duration span) { return Text(std::round(ToSeconds(span) * 10) / 10) + " s"; }

}  // namespace

HealthWatch::HealthWatch(base::Loop& loop, base::Random& random, base::Peer& control,
                         base::ProgressPage& page, Options options,
                         std::function<void(Report)> report)
    : loop_(loop),
      random_(random),
      control_(control),
      page_(page),
      options_(std::move(options)),
      report_(std::move(report)) {
  threads_.last = loop_.Now();
  LookSoon();
}

HealthWatch::~HealthWatch() {
  if (timer_ != 0) loop_.Cancel(timer_);
}

void HealthWatch::SetTimes(double period_s, double timeout_s) {
  options_.period_s = period_s;
  options_.timeout_s = timeout_s;
}

void HealthWatch::LookIn(Duration span) {
  if (timer_ != 0) loop_.Cancel(timer_);
  timer_ = loop_.After(span, [this] {
    timer_ = 0;
    Look();
  });
}

// A tenth either way, so that replicas started together are not checked together.
void HealthWatch::LookSoon() {
  const double jitter = 0.9 + 0.2 * static_cast<double>(random_.Next() % 1000) / 1000;
  LookIn(FromSeconds(options_.period_s * jitter));
}

void HealthWatch::Look() {
  if (!open_) return Ask();
  const auto seen = page_.Read();
  if (seen.check != check_) return OnHeldUp();
  const TimePoint due = seen.check_at + FromSeconds(options_.timeout_s);
  const TimePoint now = loop_.Now();
  if (now < due) return LookIn(due - now);
  open_ = false;  // an answer that comes now comes too late
  Fail(Health::kHealthy, "no answer within " + Text(options_.timeout_s) + " s");
  LookSoon();
}

// By the time of the turn, as timers are: by the clock, which is later, the look would come too
// early to find it stalled.
void HealthWatch::Ask() {
  open_ = true;
  busy_ = false;
  signs_ = {PulseNow(), loop_.Now()};
  LookIn(FromSeconds(options_.timeout_s));
  const std::uint64_t number = ++check_;
  control_.Call("replica.health", {{{"check", number}}, ""},
                [this, life = std::weak_ptr(life_), number](const auto& answer) {
                  if (!life.expired() && open_ && number == check_) OnAnswer(answer);
                });
}

void HealthWatch::OnAnswer(const Result<Message>& answer) {
  // A connection that broke is a process that is ending: its exit tells more.
  if (answer.status().code() == Code::kUnavailable) return;
  open_ = false;
  LookSoon();
  if (!answer.ok()) return Fail(Health::kHealthy, answer.status().message());
  const TimePoint now = loop_.Now();
  OnThreads(answer->json.is_object() ? answer->json : Json::object());
  const Health health =
      options_.own_check ? Health::kHealthy : Judge(threads_, options_.limits, now);
  if (health == Health::kStalled) {
    return Fail(health,
                "all threads for sync methods are taken, calls wait, and nothing has "
                "moved for " +
                    Rounded(now - threads_.last));
  }
  if (!std::exchange(well_, true)) report_({.facts = {{"state", Name(Health::kHealthy)}}});
}

void HealthWatch::OnThreads(const Json& facts) {
  const Json threads = facts.value("threads", Json::object());
  threads_ = Take(threads_,
                  {.limit = threads.value("limit", 1),
                   .taken = threads.value("taken", 0),
                   .queued = threads.value("queued", 0),
                   .begun = threads.value("begun", std::uint64_t{0}),
                   .cpu = FromSeconds(facts.value("threads_cpu_s", 0.0))},
                  loop_.Now());
}

Pulse HealthWatch::PulseNow() const {
  const auto seen = page_.Read();
  return {.turns = seen.turns,
          .requests = seen.begun + seen.answered,
          .cpu = options_.cpu_of(options_.pid)};
}

Duration HealthWatch::CpuOfChildren() const {
  Duration sum{};
  for (const int pid : FindTree(options_.pid, options_.mark)) {
    if (pid != options_.pid) sum += options_.cpu_of(pid);
  }
  return sum;
}

// As of the look: to be asked what it does takes a time that is not the replica's.
Health HealthWatch::JudgeLook() const {
  return Judge({.last_turn = page_.Read().last_turn,
                .last_sign = signs_.last,
                .own_check = options_.own_check,
                .check_timeout = FromSeconds(options_.timeout_s)},
               options_.limits, looked_);
}

// The check has not arrived. What the replica does is asked once, and before it is given up: then
// it is also seen whether a process that it waits for gets on.
void HealthWatch::OnHeldUp() {
  looked_ = loop_.Now();
  signs_ = Take(signs_, PulseNow(), looked_);
  if (JudgeLook() == Health::kBusy && busy_) return LookAgain();
  children_ = CpuOfChildren();
  page_.Ask();
  timer_ = loop_.After(kExplains, [this] {
    timer_ = 0;
    Conclude();
  });
}

void HealthWatch::Conclude() {
  if (page_.Read().check == check_) return Look();
  if (CpuOfChildren() - children_ >= std::chrono::milliseconds(1)) signs_.last = looked_;
  signs_.pulse = PulseNow();  // to explain itself is no sign of life
  const TimePoint since = page_.Read().last_turn;
  const Health health = JudgeLook();
  if (health == Health::kBusy && !std::exchange(busy_, true)) {
    well_ = false;
    report_({.health = health, .failed = false, .why = "", .facts = Since(health, since)});
  } else if (health == Health::kStalled) {
    const std::string doing = Doing();
    Fail(health, "its event loop has been held up for " + Rounded(looked_ - since) +
                     (signs_.last < looked_
                          ? ", without a sign of life for " + Rounded(looked_ - signs_.last)
                          : "") +
                     (doing.empty() ? "" : ", by " + doing));
  }
  LookAgain();
}

// A check of the replica's own has a time-out each time; what the limits say is only looked at.
void HealthWatch::LookAgain() {
  if (!options_.own_check) return LookSoon();
  LookIn(looked_ + FromSeconds(options_.timeout_s) - loop_.Now());
}

void HealthWatch::Fail(Health health, const std::string& why) {
  well_ = false;
  Report report{.health = health, .failed = true, .why = why, .facts = {}};
  if (health == Health::kStalled) {
    report.facts = Since(health, open_ ? page_.Read().last_turn : threads_.last);
  }
  report_(std::move(report));
}

std::string HealthWatch::Doing() const {
  const std::string told = page_.Explanation();
  if (!told.empty()) return told;
  return page_.heard() ? kHolds : "";
}

Json HealthWatch::Since(Health health, TimePoint since) const {
  const double ago_s = ToSeconds(loop_.clock().Now() - since);
  Json facts = {{"state", Name(health)}, {"since_s", loop_.clock().UnixSeconds() - ago_s}};
  if (const std::string doing = open_ ? Doing() : ""; !doing.empty()) facts["doing"] = doing;
  return facts;
}

}  // namespace penstock::engine::local
