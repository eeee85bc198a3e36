#include "proxy/access_log.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cmath>
#include <cstdio>
#include <ctime>
#include <utility>

namespace penstock::proxy {
namespace {

constexpr std::size_t kBlock = 64 << 10;
constexpr Duration kFlushAfter = std::chrono::milliseconds(500);
constexpr std::uint64_t kRotateBytes = std::uint64_t{512} << 20;
constexpr int kRotateFiles = 5;

}  // namespace

AccessLog::AccessLog(base::Loop& loop, std::string path, std::string node)
    : loop_(loop), path_(std::move(path)), node_(std::move(node)) {
  if (path_.empty()) return;
  file_ = base::UniqueFd(::open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
  struct stat info {};
  if (::fstat(file_.get(), &info) == 0) size_ = static_cast<std::uint64_t>(info.st_size);
}

AccessLog::~AccessLog() {
  if (timer_ != 0) loop_.Cancel(timer_);
  Flush();
}

void AccessLog::AppendTime() {
  const double now = loop_.clock().UnixSeconds();
  const auto second = static_cast<std::int64_t>(now);
  if (second != second_) {  // the broken-down time is the expensive part
    second_ = second;
    const auto time = static_cast<std::time_t>(second);
    std::tm local{};
    ::localtime_r(&time, &local);
    std::array<char, 64> text;
    const auto n = std::strftime(text.data(), text.size(), "INFO %Y-%m-%d %H:%M:%S,", &local);
    prefix_.assign(text.data(), n);
  }
  const int ms = static_cast<int>((now - std::floor(now)) * 1000);
  buffer_ += prefix_;
  buffer_ += static_cast<char>('0' + ms / 100);
  buffer_ += static_cast<char>('0' + ms / 10 % 10);
  buffer_ += static_cast<char>('0' + ms % 10);
}

void AccessLog::Note(const Entry& entry) {
  if (!file_) return;
  AppendTime();
  std::array<char, 64> tail;
  const double ms = ToSeconds(entry.latency) * 1000;
  const auto name_size = static_cast<int>(entry.status_name.size());
  const int n = name_size == 0
                    ? std::snprintf(tail.data(), tail.size(), " %d %.1fms\n", entry.status, ms)
                    : std::snprintf(tail.data(), tail.size(), " %.*s %.1fms\n", name_size,
                                    entry.status_name.data(), ms);
  for (const std::string_view part :
       {std::string_view(" proxy "), std::string_view(node_), std::string_view(" "),
        entry.request_id, std::string_view(" -- "), entry.method, std::string_view(" "),
        entry.route, std::string_view(tail.data(), static_cast<std::size_t>(n))}) {
    buffer_ += part;
  }
  if (buffer_.size() >= kBlock) {
    Flush();
  } else if (timer_ == 0) {
    timer_ = loop_.After(kFlushAfter, [this] {
      timer_ = 0;
      Flush();
    });
  }
}

void AccessLog::Flush() {
  if (buffer_.empty() || !file_) return;
  // A full disk must not stop the traffic: what cannot be written is lost.
  const auto n = ::write(file_.get(), buffer_.data(), buffer_.size());
  if (n > 0) size_ += static_cast<std::uint64_t>(n);
  buffer_.clear();
  if (size_ >= kRotateBytes) Rotate();
}

void AccessLog::Rotate() {
  for (int i = kRotateFiles - 1; i > 0; --i) {
    const std::string from = i == 1 ? path_ : path_ + "." + std::to_string(i - 1);
    std::rename(from.c_str(), (path_ + "." + std::to_string(i)).c_str());
  }
  file_ = base::UniqueFd(::open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
  size_ = 0;
}

}  // namespace penstock::proxy
