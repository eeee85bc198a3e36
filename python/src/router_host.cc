#include "router_host.h"

#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>
#include <sys/epoll.h>

#include <utility>
#include <vector>

#include "base/socket.h"
#include "replica.h"
#include "route/hash_ring.h"

namespace penstock::python {

using base::Json;
using base::Message;
using base::Peer;

PyRequest::PyRequest(const nb::bytes& frame) : frame_(View(frame)) {
  if (!base::ParseRequestHead(frame_, head_, body_)) Raise(InvalidArgument("not a request"));
}

PyRouterHost::PyRouterHost(std::shared_ptr<PyLoop> loop, const std::string& path, nb::object code,
                           bool fifo)
    : loop_(std::move(loop)),
      code_(std::move(code)),
      fifo_(fifo),
      listener_(Unwrap(base::ListenUnix(path))) {
  loop_->native().Watch(listener_.get(), EPOLLIN, *this);
}

PyRouterHost::~PyRouterHost() {
  loop_->native().Unwatch(listener_.get(), *this);
  for (const auto& [caller, peer] : callers_) peer->Close();
}

void PyRouterHost::OnEvents(std::uint32_t) {
  while (base::UniqueFd socket = base::Accept(listener_)) Accept(std::move(socket));
}

void PyRouterHost::Accept(base::UniqueFd socket) {
  const std::uint64_t caller = next_caller_++;
  auto peer = Peer::Open(
      loop_->native(), std::move(socket),
      {.on_call = [this, caller](
                      const std::string& method, const Message& message,
                      const Peer::Respond& respond) { OnCall(caller, method, message, respond); },
       .on_notice = [this, caller](
                        const std::string& method,
                        const Message& message) { OnNotice(caller, method, message.json); },
       .on_closed = [this, caller](const std::string&) { OnClosed(caller); }});
  peer->Notify("router.hello", {{{"fifo", fifo_}}, ""});
  callers_.emplace(caller, std::move(peer));
}

void PyRouterHost::OnCall(std::uint64_t caller, const std::string& method, const Message& message,
                          const Peer::Respond& respond) {
  if (method != "router.choose") {
    return respond(Status(Code::kUnimplemented, "a request router has no '" + method + "'"));
  }
  const std::string params = message.json.dump(-1, ' ', false, Json::error_handler_t::replace);
  WithGil([&] {
    code_.get().attr("choose")(caller, params, Bytes(message.blob),
                               PyDone([respond](Result<Json> answer) {
                                 if (!answer.ok()) return respond(answer.status());
                                 respond(Message{*std::move(answer), ""});
                               }));
  });
}

void PyRouterHost::OnNotice(std::uint64_t caller, const std::string& method, const Json& params) {
  const auto request = base::Whole<std::uint64_t>(params.at("request"));
  if (method == "router.routed") {
    const std::string replica = params.at("replica");
    WithGil([&] { code_.get().attr("routed")(caller, request, replica); });
  } else if (method == "router.ended") {
    WithGil([&] { code_.get().attr("ended")(caller, request); });
  }
}

void PyRouterHost::OnClosed(std::uint64_t caller) {
  auto peer = callers_.extract(caller);
  if (peer.empty()) return;
  loop_->native().Dispose(std::move(peer.mapped()));
  WithGil([&] { code_.get().attr("gone")(caller); });
}

void BindRouterHost(nb::module_& module) {
  nb::class_<PyRequest>(module, "Request", "A request as a router looks at it.")
      .def(nb::init<const nb::bytes&>(), nb::arg("frame"))
      .def(
          "context",
          [](const PyRequest& r) {
            const base::RequestHead& head = r.head();
            return nb::make_tuple(static_cast<int>(head.kind), Text(head.request_id),
                                  Text(head.app), Text(head.route), Text(head.multiplexed_model_id),
                                  Text(head.session_id));
          },
          "(kind, request_id, app, route, model_id, session_id); kind is 1 HTTP, 2 call, 3 "
          "WebSocket.")
      .def(
          "http",
          [](const PyRequest& r) {
            const base::RequestHead& head = r.head();
            return nb::make_tuple(Text(head.method), Bytes(head.target), Text(head.http_version),
                                  Text(head.root_path), Text(head.client), Text(head.server));
          },
          "(method, target, http_version, root_path, client, server), as ReplicaCall's.")
      .def_prop_ro("wants_stream",
                   [](const PyRequest& r) { return (r.head().flags & base::kStreamReply) != 0; })
      .def_prop_ro("secure",
                   [](const PyRequest& r) { return (r.head().flags & base::kSecure) != 0; })
      .def_prop_ro("method", [](const PyRequest& r) { return Text(r.head().method); })
      .def_prop_ro("headers", [](const PyRequest& r) { return HeaderList(r.head().headers); })
      .def_prop_ro("body", [](const PyRequest& r) { return Bytes(r.body()); });

  nb::class_<PyRouterHost>(module, "RouterHost", "Listens for those who ask a request router.")
      .def(nb::init<std::shared_ptr<PyLoop>, const std::string&, nb::object, bool>(),
           nb::arg("loop"), nb::arg("path"), nb::arg("code"), nb::arg("fifo"));

  nb::class_<route::HashRing>(module, "HashRing", "Consistent hashing of keys to names.")
      .def(
          "__init__",
          [](route::HashRing* self, const std::vector<std::string>& names, int virtual_nodes) {
            new (self) route::HashRing(names, virtual_nodes);
          },
          nb::arg("names"), nb::arg("virtual_nodes"))
      .def(
          "clockwise",
          [](const route::HashRing& ring, const std::string& key, std::size_t count) {
            return ring.Clockwise(route::HashPoint(key), count);
          },
          nb::arg("key"), nb::arg("count"),
          "The first `count` different names behind a key, as places in `names`.");
}

}  // namespace penstock::python
