#include "policy_host.h"

#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>
#include <sys/epoll.h>

#include <utility>

#include "base/socket.h"
#include "replica.h"

namespace penstock::python {

using base::Json;
using base::Message;
using base::Peer;

PyPolicyHost::PyPolicyHost(std::shared_ptr<PyLoop> loop, const std::string& path, nb::object code)
    : loop_(std::move(loop)), code_(std::move(code)), listener_(Unwrap(base::ListenUnix(path))) {
  loop_->native().Watch(listener_.get(), EPOLLIN, *this);
}

PyPolicyHost::~PyPolicyHost() {
  loop_->native().Unwatch(listener_.get(), *this);
  for (const auto& [caller, peer] : callers_) peer->Close();
}

void PyPolicyHost::OnEvents(std::uint32_t) {
  while (base::UniqueFd socket = base::Accept(listener_)) Accept(std::move(socket));
}

void PyPolicyHost::Accept(base::UniqueFd socket) {
  const int caller = next_caller_++;
  callers_[caller] = Peer::Open(
      loop_->native(), std::move(socket),
      {.on_call = [this](const std::string& method, const Message& message,
                         const Peer::Respond& respond) { OnCall(method, message, respond); },
       .on_notice = [](const std::string&, const Message&) {},
       .on_closed =
           [this, caller](const std::string&) {
             auto peer = callers_.extract(caller);
             if (!peer.empty()) loop_->native().Dispose(std::move(peer.mapped()));
           }});
}

void PyPolicyHost::OnCall(const std::string& method, const Message& message,
                          const Peer::Respond& respond) {
  if (method != "policy.decide") {
    return respond(Status(Code::kUnimplemented, "an autoscaling policy has no '" + method + "'"));
  }
  const std::string context = message.json.dump(-1, ' ', false, Json::error_handler_t::replace);
  WithGil([&] {
    code_.get().attr("decide")(context, PyDone([respond](Result<Json> answer) {
                                 if (!answer.ok()) return respond(answer.status());
                                 respond(Message{*std::move(answer), ""});
                               }));
  });
}

void BindPolicyHost(nb::module_& module) {
  nb::class_<PyPolicyHost>(module, "PolicyHost", "Listens for the controller's questions.")
      .def(nb::init<std::shared_ptr<PyLoop>, const std::string&, nb::object>(), nb::arg("loop"),
           nb::arg("path"), nb::arg("code"));
}

}  // namespace penstock::python
