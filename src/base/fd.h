// A file descriptor that is closed exactly once.
#pragma once

#include <unistd.h>

#include <utility>

namespace penstock::base {

class UniqueFd {
 public:
  UniqueFd() = default;
  // Takes ownership of `fd`; -1 is "none".
  explicit UniqueFd(int fd) : fd_(fd) {}
  ~UniqueFd() { Reset(); }

  UniqueFd(UniqueFd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  UniqueFd& operator=(UniqueFd&& other) noexcept {
    Reset();
    fd_ = std::exchange(other.fd_, -1);
    return *this;
  }

  // Borrowed; -1 when there is none.
  int get() const { return fd_; }

  // True when there is a descriptor.
  explicit operator bool() const { return fd_ >= 0; }

  // Gives the descriptor up to the caller.
  [[nodiscard]] int Release() { return std::exchange(fd_, -1); }

  // Closes it now, if any.
  void Reset() {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
  }

 private:
  int fd_ = -1;
};

}  // namespace penstock::base
