#include "convert.h"

#include <nanobind/stl/string.h>
#include <unistd.h>

namespace penstock::python {
namespace {

PyObject* ExceptionOf(Code code) {
  switch (code) {
    case Code::kInvalidArgument:
      return PyExc_ValueError;
    case Code::kWrongType:
      return PyExc_TypeError;
    case Code::kNotFound:
      return PyExc_KeyError;
    case Code::kUnimplemented:
      return PyExc_NotImplementedError;
    case Code::kDeadlineExceeded:
      return PyExc_TimeoutError;
    case Code::kUnavailable:
      return PyExc_ConnectionError;
    case Code::kAlreadyExists:
      return PyExc_FileExistsError;
    default:
      return PyExc_RuntimeError;
  }
}

}  // namespace

PyRef::PyRef(nb::object object) {
  object_ = std::shared_ptr<nb::object>(new nb::object(std::move(object)), [](nb::object* held) {
    if (!Py_IsInitialized()) return;  // the interpreter is gone, and everything in it
    const nb::gil_scoped_acquire gil;
    delete held;
  });
}

namespace {

bool InterpreterIsEnding() {
#if PY_VERSION_HEX >= 0x030d0000
  return Py_IsFinalizing() != 0;
#else
  return _Py_IsFinalizing() != 0;
#endif
}

}  // namespace

nlohmann::json FamiliesFrom(const PyRef& metrics) {
  nlohmann::json families = nlohmann::json::array();
  WithGil([&] {
    const auto text = nb::cast<std::string>(metrics.get()());
    auto parsed = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
    if (parsed.is_array()) families = std::move(parsed);
  });
  return families;
}

ReleasedGil::~ReleasedGil() {
  while (InterpreterIsEnding()) ::pause();  // until the process is gone
  PyEval_RestoreThread(state_);
}

void WithGil(const std::function<void()>& code) {
  if (!Py_IsInitialized()) return;
  const nb::gil_scoped_acquire gil;
  try {
    code();
  } catch (nb::python_error& error) {
    error.discard_as_unraisable("penstock");
  }
}

void Raise(const Status& status) {
  // Interrupted while a signal's exception is pending: that one is the news.
  if (PyErr_Occurred() != nullptr) throw nb::python_error();
  PyErr_SetString(ExceptionOf(status.code()), status.message().c_str());
  throw nb::python_error();
}

std::string_view View(const nb::bytes& bytes) { return {bytes.c_str(), bytes.size()}; }

nb::bytes Bytes(std::string_view text) { return nb::bytes(text.data(), text.size()); }

nb::list HeaderList(const std::vector<base::RequestHead::Header>& headers) {
  nb::list list;
  for (const auto& [name, value] : headers) list.append(nb::make_tuple(Bytes(name), Bytes(value)));
  return list;
}

std::vector<base::ReplyHead::Header> HeadersFrom(const nb::list& list) {
  std::vector<base::ReplyHead::Header> headers;
  headers.reserve(list.size());
  for (const nb::handle pair : list) {
    headers.emplace_back(View(nb::cast<nb::bytes>(pair[0])), View(nb::cast<nb::bytes>(pair[1])));
  }
  return headers;
}

nb::str Text(std::string_view text) {
  return nb::steal<nb::str>(
      PyUnicode_DecodeUTF8(text.data(), static_cast<Py_ssize_t>(text.size()), "surrogateescape"));
}

}  // namespace penstock::python
