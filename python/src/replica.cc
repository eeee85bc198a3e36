#include "replica.h"

#include <nanobind/stl/optional.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <charconv>
#include <cstring>
#include <optional>
#include <utility>

#include "base/compress.h"

namespace penstock::python {
namespace {

using nlohmann::json;
using replica::Call;

// Dumps what came as JSON; never throws on text that is no UTF-8.
std::string Dump(const json& value) {
  return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

// Bytes of this size are worth keeping alive until they are sent, rather than copied.
constexpr std::size_t kWorthKeeping = 32 << 10;

Call::Keep KeepOf(const nb::bytes& bytes) {
  if (bytes.size() < kWorthKeeping) return nullptr;
  return std::make_shared<PyRef>(nb::object(bytes));
}

// Of the request's body, as its head says; 0 when it does not.
std::size_t AnnouncedSize(const base::RequestHead& head) {
  std::size_t size = 0;
  for (const auto& [name, value] : head.headers) {
    if (name == "content-length") std::from_chars(value.data(), value.data() + value.size(), size);
  }
  return size;
}

// Announced sizes beyond this are not believed before the bytes come.
constexpr std::size_t kMostBelieved = std::size_t{64} << 20;

std::optional<nb::bytes> CollectBody(Call& call) {
  const std::size_t size = AnnouncedSize(call.head());
  if (size == 0 || size > kMostBelieved) {
    call.CollectBody();
    return std::nullopt;
  }
  PyObject* made = PyBytes_FromStringAndSize(nullptr, static_cast<Py_ssize_t>(size));
  if (made == nullptr) throw nb::python_error();
  auto whole = nb::steal<nb::bytes>(made);
  char* to = PyBytes_AS_STRING(made);
  call.CollectBody([keep = PyRef(whole), to, room = size](std::string_view piece) mutable {
    piece = piece.substr(0, room);
    std::memcpy(to, piece.data(), piece.size());
    to += piece.size();
    room -= piece.size();
  });
  return whole;
}

nb::object DoneObject(replica::UserCode::Done done) { return nb::cast(PyDone(std::move(done))); }

}  // namespace

void PyDone::Report(Result<json> outcome) {
  if (!done_) return;
  // Once only; what it captured may point back here.
  const auto done = std::exchange(done_, nullptr);
  done(std::move(outcome));
}

void PyDone::Ok(const std::string& facts_json) {
  Report(json::parse(facts_json, nullptr, /*allow_exceptions=*/false));
}

void PyDone::Fail(const std::string& message) { Report(Internal(message)); }

void PythonCode::Initialize(const json& assignment, Done done) {
  WithGil([&] { code_.get().attr("initialize")(Dump(assignment), DoneObject(std::move(done))); });
}

void PythonCode::Reconfigure(const json& change, Done done) {
  WithGil([&] { code_.get().attr("reconfigure")(Dump(change), DoneObject(std::move(done))); });
}

void PythonCode::CheckHealth(Done done) {
  WithGil([&] { code_.get().attr("check_health")(DoneObject(std::move(done))); });
}

void PythonCode::Start(std::shared_ptr<Call> call) {
  WithGil([&] { code_.get().attr("start")(call); });
}

void PythonCode::Cancel(Call& call) {
  WithGil([&] { code_.get().attr("cancel")(call.shared_from_this()); });
}

json PythonCode::Metrics() {
  PyRef metrics;
  WithGil([&] { metrics = PyRef(code_.get().attr("metrics")); });
  return metrics ? FamiliesFrom(metrics) : json::array();
}

void PythonCode::Shutdown(Done done) {
  WithGil([&] { code_.get().attr("shutdown")(DoneObject(std::move(done))); });
}

PyHost::PyHost(std::shared_ptr<PyLoop> loop, int control_fd, int page_fd, nb::object code,
               nb::object on_exit, nb::object describe)
    : loop_(std::move(loop)),
      code_(std::move(code)),
      host_(loop_->native(), base::UniqueFd(control_fd),
            Unwrap(base::ProgressPage::Open(base::UniqueFd(page_fd))), code_,
            [on_exit = PyRef(std::move(on_exit))] { WithGil([&] { on_exit.get()(); }); }),
      sampler_(*host_.page(), std::move(describe)) {}

void PyHost::AnnounceModels(std::vector<std::string> models) {
  loop_->Run([this, models = std::move(models)] { host_.runtime().SetModels(models); });
}

void PyHost::AnnounceStats(const std::string& stats) {
  Status status;
  loop_->RunAndWait([&] { status = host_.runtime().SetStats(stats); });
  if (!status.ok()) Raise(status);
}

void BindReplica(nb::module_& module) {
  nb::class_<PyDone>(module, "Done", "Reports the end of a step, once.")
      .def("ok", &PyDone::Ok, nb::arg("facts_json") = "null")
      .def("fail", &PyDone::Fail, nb::arg("message"));

  nb::class_<Call>(module, "ReplicaCall",
                   "A request inside a replica. On the loop's thread, or on one that calls the "
                   "loop's flush() when it has answered.")
      .def(
          "context",
          [](const Call& c) {
            const base::RequestHead& head = c.head();
            return nb::make_tuple(static_cast<int>(head.kind), Text(head.request_id),
                                  Text(head.route), Text(head.multiplexed_model_id),
                                  Text(head.session_id));
          },
          "(kind, request_id, route, model_id, session_id); kind is 1 HTTP, 2 call, 3 WebSocket, "
          "4 gRPC.")
      .def(
          "http",
          [](const Call& c) {
            const base::RequestHead& head = c.head();
            return nb::make_tuple(Text(head.method), Bytes(head.target), Text(head.http_version),
                                  Text(head.root_path), Text(head.client), Text(head.server));
          },
          "(method, target, http_version, root_path, client, server); client and server are "
          "host:port")
      .def(
          "grpc",
          [](const Call& c) {
            const base::RequestHead& head = c.head();
            return nb::make_tuple(Text(head.target), Text(head.servicer), Text(head.client));
          },
          "(path of the method, import path of its servicer function, client's host:port)")
      .def_prop_ro("takes_stream",
                   [](const Call& c) { return (c.head().flags & base::kStreamRequest) != 0; })
      .def_prop_ro("wants_stream",
                   [](const Call& c) { return (c.head().flags & base::kStreamReply) != 0; })
      .def_prop_ro(
          "secure", [](const Call& c) { return (c.head().flags & base::kSecure) != 0; },
          "True when the request came over TLS.")
      .def_prop_ro("method", [](const Call& c) { return Text(c.head().method); })
      .def_prop_ro("headers", [](const Call& c) { return HeaderList(c.head().headers); })
      .def_prop_ro("body_ended", &Call::body_ended)
      .def_prop_ro("cancelled", &Call::cancelled)
      .def_prop_ro("ended", &Call::finished, "True once the reply is complete.")
      .def_prop_ro("replied", &Call::replied)
      .def_prop_ro("writable", &Call::writable)
      .def("take_body", [](Call& c) { return Bytes(c.TakeBody()); })
      .def("collect_body", &CollectBody,
           "Has the body gathered whole: on_body is called once, when all of it is there. Where "
           "its size was announced it fills the bytes that are returned, as far as `collected` "
           "says, "
           "and nobody may look at the rest; else it is for take_body.")
      .def_prop_ro("collected", &Call::collected)
      .def(
          "set_on_body",
          [](Call& c, nb::object then) {
            c.SetOnBody([then = PyRef(std::move(then))] { WithGil([&] { then.get()(); }); });
          },
          nb::arg("then"))
      .def(
          "set_on_writable",
          [](Call& c, nb::object then) {
            c.SetOnWritable([then = PyRef(std::move(then))] { WithGil([&] { then.get()(); }); });
          },
          nb::arg("then"))
      .def(
          "reply",
          [](Call& c, int status, const nb::list& headers, const nb::bytes& body, bool end) {
            c.Reply({.status = static_cast<std::uint16_t>(status), .headers = HeadersFrom(headers)},
                    View(body), end, KeepOf(body));
          },
          nb::arg("status"), nb::arg("headers"), nb::arg("body"), nb::arg("end"))
      .def(
          "reply_result",
          [](Call& c, const nb::bytes& result, bool failure) {
            c.Reply(View(result), failure, KeepOf(result));
          },
          nb::arg("result"), nb::arg("failure"))
      .def(
          "send",
          [](Call& c, const nb::bytes& piece, bool end, bool failure) {
            c.Send(View(piece), end, failure, KeepOf(piece));
          },
          nb::arg("piece"), nb::arg("end"), nb::arg("failure") = false)
      .def("note_failure", &Call::NoteFailure, nb::arg("exception_type"),
           "User code raised: for logs and counts. Before the reply.")
      .def("set_route", &Call::SetRoute, nb::arg("route"), "As the application knows it.")
      .def("set_status", &Call::SetStatus, nb::arg("status"), "How a WebSocket was closed.")
      .def("finish", &Call::Finish);

  module.def(
      "encode_metadata",
      [](int code, const nb::list& metadata) {
        std::string out;
        base::AppendReplyHead(
            out, {.status = static_cast<std::uint16_t>(code), .headers = HeadersFrom(metadata)});
        return Bytes(out);
      },
      nb::arg("code"), nb::arg("metadata"), "A gRPC status and metadata, for a frame of a reply.");
  module.def(
      "compress",
      [](const std::string& encoding, const nb::bytes& message) {
        return Bytes(Unwrap(base::Compress(encoding, View(message))));
      },
      nb::arg("encoding"), nb::arg("message"), "By 'gzip' or 'deflate'.");
  module.def(
      "decompress",
      [](const std::string& encoding, const nb::bytes& message, std::size_t limit) {
        return Bytes(Unwrap(base::Decompress(encoding, View(message), limit)));
      },
      nb::arg("encoding"), nb::arg("message"), nb::arg("limit"),
      "The inverse, of at most `limit` bytes. ValueError for what is not so compressed.");

  nb::class_<PyHost>(module, "ReplicaHost", "A replica's runtime with Python code in it.")
      .def(nb::init<std::shared_ptr<PyLoop>, int, int, nb::object, nb::object, nb::object>(),
           nb::arg("loop"), nb::arg("control_fd"), nb::arg("page_fd"), nb::arg("code"),
           nb::arg("on_exit"), nb::arg("describe"))
      .def("announce_models", &PyHost::AnnounceModels, nb::arg("models"),
           "Tells routers which models are here or being loaded.")
      .def(
          "announce_stats", &PyHost::AnnounceStats, nb::arg("stats_json"),
          "Tells routers what the code says for them, an object. ValueError when it is too large.");
}

}  // namespace penstock::python
