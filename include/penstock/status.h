// The one error type: what went wrong, for whom, in words a user can act on.
//
// Value types, no I/O. Any number of threads may read one; a writer needs exclusive access.
// No exception crosses a room; the Python edge maps each Code to Ray Serve's exception class.
#pragma once

#include <optional>
#include <string>
#include <utility>

namespace penstock {

// Why an operation failed. The comment names the Python exception it becomes.
enum class Code {
  kOk,
  kInvalidArgument,     // ValueError: right type, value outside its range.
  kWrongType,           // TypeError: a value of a type that the field does not take.
  kNotFound,            // KeyError or RayServeException, as the call documents.
  kAlreadyExists,       // RayServeException.
  kFailedPrecondition,  // RuntimeError: the state of the instance forbids it.
  kResourceExhausted,   // BackPressureError.
  kUnavailable,         // DeploymentUnavailableError or ConnectionError.
  kDeadlineExceeded,    // TimeoutError.
  kCancelled,           // RequestCancelledError.
  kUnimplemented,       // NotImplementedError: accepted by Ray Serve, not yet by us.
  kInternal,            // RuntimeError: ours to fix, or the operating system's refusal.
};

// Success, or a code with a message. The message is complete: it names the field, the value and
// what is allowed, so that callers can show it unchanged.
class [[nodiscard]] Status {
 public:
  Status() = default;
  Status(Code code, std::string message) : code_(code), message_(std::move(message)) {}

  // True when nothing went wrong.
  bool ok() const { return code_ == Code::kOk; }

  // kOk or the reason.
  Code code() const { return code_; }

  // Empty exactly when ok().
  const std::string& message() const { return message_; }

  friend bool operator==(const Status&, const Status&) = default;

 private:
  Code code_ = Code::kOk;
  std::string message_;
};

// Short forms for the three that user input earns most.
inline Status InvalidArgument(std::string message) {
  return {Code::kInvalidArgument, std::move(message)};
}
// A value of the wrong type.
inline Status WrongType(std::string message) { return {Code::kWrongType, std::move(message)}; }
// Something of ours, or of the operating system, that failed.
inline Status Internal(std::string message) { return {Code::kInternal, std::move(message)}; }

// A T, or the Status that says why there is none. A Result is never both ok and empty.
template <class T>
class [[nodiscard]] Result {
 public:
  // NOLINTNEXTLINE(google-explicit-constructor): `return value;` and `return status;` must read
  // well.
  Result(T value) : value_(std::move(value)) {}
  // Pre: !status.ok().
  // NOLINTNEXTLINE(google-explicit-constructor)
  Result(Status status) : status_(std::move(status)) {}

  // True when there is a value.
  bool ok() const { return value_.has_value(); }

  // ok() or the reason.
  const Status& status() const { return status_; }

  // Pre: ok().
  T& operator*() & { return *value_; }
  const T& operator*() const& { return *value_; }
  T&& operator*() && { return *std::move(value_); }
  T* operator->() { return &*value_; }
  const T* operator->() const { return &*value_; }

 private:
  std::optional<T> value_;
  Status status_;
};

}  // namespace penstock
