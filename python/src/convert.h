// Between Python objects and ours.
#pragma once

#include <nanobind/nanobind.h>

#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/heads.h"
#include "penstock/status.h"

namespace penstock::python {

namespace nb = nanobind;

// A Python object that may be copied and dropped on any thread.
class PyRef {
 public:
  PyRef() = default;
  explicit PyRef(nb::object object);

  // Pre: the GIL is held.
  nb::handle get() const { return *object_; }
  explicit operator bool() const { return object_ != nullptr; }

 private:
  std::shared_ptr<nb::object> object_;
};

// Runs `code` with the GIL. An exception that Python code leaves uncaught there has nowhere to
// go: it is reported as unraisable.
void WithGil(const std::function<void()>& code);

// What `metrics()` says in JSON, an array of families as base/metrics.h writes them.
nlohmann::json FamiliesFrom(const PyRef& metrics);

// Lets other threads run Python while this one waits for something native.
//
// A daemon thread may still wait when the interpreter ends. It must not come back then: taking
// the GIL ends the thread by unwinding, through frames that do not allow it.
class ReleasedGil {
 public:
  ReleasedGil() : state_(PyEval_SaveThread()) {}
  ~ReleasedGil();
  ReleasedGil(const ReleasedGil&) = delete;
  ReleasedGil& operator=(const ReleasedGil&) = delete;

 private:
  PyThreadState* state_;
};

// Raises the Python exception that stands for the status: ValueError, TypeError, KeyError,
// NotImplementedError, TimeoutError, ConnectionError, RuntimeError.
[[noreturn]] void Raise(const Status& status);

// The value, or Raise.
template <class T>
T Unwrap(Result<T> result) {
  if (!result.ok()) Raise(result.status());
  return *std::move(result);
}

// Borrowed from the bytes object.
std::string_view View(const nb::bytes& bytes);

nb::bytes Bytes(std::string_view text);

// [(name, value), ...] in bytes, as ASGI wants headers.
nb::list HeaderList(const std::vector<base::RequestHead::Header>& headers);

// The inverse; borrowed from the list's bytes objects.
std::vector<base::ReplyHead::Header> HeadersFrom(const nb::list& headers);

// Text that may hold bytes that are no UTF-8: those become surrogates, as in os.fsdecode.
nb::str Text(std::string_view text);

}  // namespace penstock::python
