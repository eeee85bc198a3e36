// Data that several threads share, reachable only while its lock is held.
#pragma once

#include <mutex>
#include <utility>

namespace penstock::base {

template <class T>
class Guarded {
 public:
  Guarded() = default;
  explicit Guarded(T value) : value_(std::move(value)) {}

  // Calls `f(T&)` under the lock and returns what it returns. `f` must not block, and must not
  // take another lock: that is what keeps this deadlock-free.
  template <class F>
  decltype(auto) With(F&& f) {
    const std::lock_guard<std::mutex> lock(mutex_);
    return std::forward<F>(f)(value_);
  }

 private:
  std::mutex mutex_;  // GUARDED_BY is moot: value_ is private and With is the only way in.
  T value_;
};

}  // namespace penstock::base
