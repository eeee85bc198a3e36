#include "base/progress_page.h"

#include <fcntl.h>
#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <limits>
#include <memory>
#include <utility>

namespace penstock::base {

// Zeroes are a page of which nothing was said. One writer for each field, so an increment need
// not be one instruction.
struct ProgressPage::Fields {
  std::atomic<std::uint64_t> turns;
  std::atomic<std::int64_t> last_turn_ns;
  std::atomic<std::uint64_t> begun;
  std::atomic<std::uint64_t> answered;
  std::atomic<std::uint64_t> check;
  std::atomic<std::int64_t> check_ns;
  std::atomic<std::uint32_t> asked;  // waited on by futex
  std::atomic<std::uint32_t> heard;  // the last value of `asked` that was
  std::atomic<std::uint32_t> told;   // the last that was answered
  std::atomic<std::uint32_t> size;   // of text
  std::array<char, 4000> text;
};

namespace {

using Fields = ProgressPage::Fields;

static_assert(std::atomic<std::uint64_t>::is_always_lock_free);
static_assert(std::atomic<std::uint32_t>::is_always_lock_free);

constexpr auto kRelaxed = std::memory_order_relaxed;
constexpr int kSeals = F_SEAL_SHRINK | F_SEAL_GROW;
// Nobody asks that often.
constexpr std::uint32_t kStop = std::numeric_limits<std::uint32_t>::max();

Status Refused() {
  return {Code::kUnavailable, std::string("shared memory: ") + std::strerror(errno)};
}

Result<std::unique_ptr<ProgressPage>> Map(UniqueFd fd) {
  void* base = ::mmap(nullptr, sizeof(Fields), PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
  if (base == MAP_FAILED) return Refused();
  return std::make_unique<ProgressPage>(std::move(fd), static_cast<Fields*>(base));
}

long Futex(std::atomic<std::uint32_t>& word, int operation, std::uint32_t value) {
  return ::syscall(SYS_futex, &word, operation, value, nullptr, nullptr, 0);
}

void Increment(std::atomic<std::uint64_t>& counter) {
  counter.store(counter.load(kRelaxed) + 1, kRelaxed);
}

TimePoint At(const std::atomic<std::int64_t>& ns) { return TimePoint(Duration(ns.load(kRelaxed))); }

}  // namespace

Result<std::unique_ptr<ProgressPage>> ProgressPage::Create() {
  UniqueFd fd(::memfd_create("penstock-progress", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!fd || ::ftruncate(fd.get(), sizeof(Fields)) != 0 ||
      ::fcntl(fd.get(), F_ADD_SEALS, kSeals | F_SEAL_SEAL) != 0) {
    return Refused();
  }
  return Map(std::move(fd));
}

Result<std::unique_ptr<ProgressPage>> ProgressPage::Open(UniqueFd fd) {
  struct stat facts {};
  const int seals = ::fcntl(fd.get(), F_GET_SEALS);
  if (seals < 0 || (seals & kSeals) != kSeals || ::fstat(fd.get(), &facts) != 0 ||
      facts.st_size != static_cast<off_t>(sizeof(Fields))) {
    return InvalidArgument("descriptor " + std::to_string(fd.get()) + " is no progress page");
  }
  return Map(std::move(fd));
}

ProgressPage::~ProgressPage() { ::munmap(fields_, sizeof(Fields)); }

UniqueFd ProgressPage::Share() const { return UniqueFd(::fcntl(fd_.get(), F_DUPFD_CLOEXEC, 0)); }

void ProgressPage::NoteTurn(TimePoint now) {
  fields_->last_turn_ns.store(now.time_since_epoch().count(), kRelaxed);
  Increment(fields_->turns);
}

void ProgressPage::NoteRequests(std::uint64_t begun) { fields_->begun.store(begun, kRelaxed); }

void ProgressPage::NoteAnswer() { Increment(fields_->answered); }

void ProgressPage::NoteCheck(std::uint64_t number, TimePoint now) {
  fields_->check_ns.store(now.time_since_epoch().count(), kRelaxed);
  fields_->check.store(number, std::memory_order_release);
}

bool ProgressPage::WaitUntilAsked() {
  while (true) {
    const std::uint32_t asked = fields_->asked.load();
    if (asked == kStop) return false;
    if (asked != fields_->heard.load(kRelaxed)) {
      fields_->heard.store(asked);
      return true;
    }
    Futex(fields_->asked, FUTEX_WAIT, asked);
  }
}

void ProgressPage::Explain(std::string_view text) {
  text = text.substr(0, fields_->text.size());
  std::copy(text.begin(), text.end(), fields_->text.begin());
  fields_->size.store(static_cast<std::uint32_t>(text.size()), kRelaxed);
  fields_->told.store(fields_->heard.load(kRelaxed), std::memory_order_release);
}

void ProgressPage::StopWaiting() {
  fields_->asked.store(kStop);
  Futex(fields_->asked, FUTEX_WAKE, std::numeric_limits<int>::max());
}

ProgressPage::Seen ProgressPage::Read() const {
  Seen seen{.turns = fields_->turns.load(kRelaxed),
            .last_turn = At(fields_->last_turn_ns),
            .begun = fields_->begun.load(kRelaxed),
            .answered = fields_->answered.load(kRelaxed),
            .check = fields_->check.load(std::memory_order_acquire)};
  seen.check_at = At(fields_->check_ns);
  return seen;
}

void ProgressPage::Ask() {
  if (fields_->asked.load() == kStop) return;
  fields_->asked.fetch_add(1);
  Futex(fields_->asked, FUTEX_WAKE, 1);
}

bool ProgressPage::heard() const { return fields_->heard.load() == fields_->asked.load(); }

std::string ProgressPage::Explanation() const {
  if (fields_->told.load(std::memory_order_acquire) != fields_->asked.load()) return "";
  const std::size_t size =
      std::min<std::size_t>(fields_->size.load(kRelaxed), fields_->text.size());
  return {fields_->text.begin(), fields_->text.begin() + static_cast<std::ptrdiff_t>(size)};
}

}  // namespace penstock::base
