#include "base/block_log.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

namespace penstock::base {
namespace {

constexpr std::size_t kBlock = 64 << 10;
constexpr Duration kFlushAfter = std::chrono::milliseconds(100);

UniqueFd OpenForAppending(const std::string& path) {
  return UniqueFd(::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
}

}  // namespace

BlockLog::~BlockLog() {
  if (timer_ != 0) loop_.Cancel(timer_);
  Flush();
}

Status BlockLog::Open(const BlockLogOptions& options) {
  if (options == options_ && (open() || options.path.empty())) return {};
  Flush();
  options_ = options;
  file_.Reset();
  if (options.path.empty()) return {};
  file_ = OpenForAppending(options.path);
  if (file_) return {};
  return Internal("cannot open the log '" + options.path + "': " + std::strerror(errno));
}

void BlockLog::Written() {
  if (buffer_.size() >= kBlock) {
    Flush();
  } else if (timer_ == 0) {
    timer_ = loop_.After(kFlushAfter, [this] {
      timer_ = 0;
      Flush();
    });
  }
}

// In one system call: other processes append to the same file. A full disk must not stop the
// traffic: what cannot be written is lost.
void BlockLog::Flush() {
  if (buffer_.empty()) return;
  if (file_) {
    [[maybe_unused]] const auto n = ::write(file_.get(), buffer_.data(), buffer_.size());
    RotateIfLarge();
  }
  buffer_.clear();
}

void BlockLog::RotateIfLarge() {
  struct stat info {};
  if (!file_ || ::fstat(file_.get(), &info) != 0) return;
  if (static_cast<std::uint64_t>(info.st_size) >= options_.rotate_bytes) Rotate();
}

void BlockLog::Rotate() {
  const std::string& path = options_.path;
  for (int i = options_.rotate_files - 1; i > 0; --i) {
    const std::string from = i == 1 ? path : path + "." + std::to_string(i - 1);
    std::rename(from.c_str(), (path + "." + std::to_string(i)).c_str());
  }
  UniqueFd fresh = OpenForAppending(path);
  if (!fresh) return;  // the old file, by its new name, is better than none
  file_ = std::move(fresh);
  if (!options_.is_output) return;
  ::dup2(file_.get(), STDOUT_FILENO);
  ::dup2(file_.get(), STDERR_FILENO);
}

}  // namespace penstock::base
