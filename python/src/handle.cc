#include "handle.h"

#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <chrono>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/heads.h"
#include "base/instance.h"
#include "base/metric_source.h"
#include "base/protocol.h"
#include "base/shared_slots.h"
#include "route/metrics.h"

namespace penstock::python {
namespace {

// How often a blocked main thread looks for signals.
constexpr auto kSignalPeriod = std::chrono::milliseconds(100);

// The head of a method call.
std::string CallHead(const CallOptions& options, std::uint8_t flags = 0) {
  base::RequestHead head{.kind = base::CallKind::kCall};
  head.flags = flags | (options.stream ? base::kStreamReply : std::uint8_t{0});
  head.request_id = options.request_id;
  head.app = options.app;
  head.route = options.route;
  head.multiplexed_model_id = options.model_id;
  head.session_id = options.session_id;
  head.method = options.method;
  std::string payload;
  base::AppendRequestHead(payload, head);
  return payload;
}

// The arguments of Start and Reserve that describe the call.
CallOptions OptionsFrom(const std::string& app, const std::string& deployment,
                        const std::string& method, const std::string& request_id,
                        const std::string& route, const std::string& model_id,
                        const std::string& session_id, bool stream) {
  return {app, deployment, method, request_id, route, model_id, session_id, stream};
}

}  // namespace

// ---- a call ---------------------------------------------------------------------------------

void PyCall::Begin(route::DeploymentQueue& queue, std::string payload, const std::string& replica,
                   bool near) {
  self_ = shared_from_this();
  const bool small = payload.size() <= base::kMaxSlot;
  if (!small) {
    unsent_ = payload.substr(base::kMaxSlot);
    payload.resize(base::kMaxSlot);
  }
  if (!replica.empty()) {
    const std::lock_guard<std::mutex> lock(mutex_);
    replica_ = replica;
  }
  auto exchange = replica.empty() ? queue.Start(std::move(payload), small, *this, near)
                                  : queue.StartAt(replica, std::move(payload), small, *this);
  if (!exchange->done()) exchange_ = std::move(exchange);
}

void PyCall::Reserve(route::DeploymentQueue& queue, std::string head, std::string arguments,
                     bool near) {
  self_ = shared_from_this();
  holds_ = true;
  hint_ = std::move(arguments);
  auto exchange = queue.Start(std::move(head), /*end=*/false, *this, near);
  if (!exchange->done()) exchange_ = std::move(exchange);
}

void PyCall::Dispatch(const CallOptions& options, const nb::bytes& arguments) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    reserved_ = false;
  }
  std::string request = CallHead(options);
  request += View(arguments);
  loop_->Run(
      [self = shared_from_this(), request = std::move(request), stream = options.stream]() mutable {
        self->holds_ = false;
        self->hint_.clear();
        self->stream_ = stream;
        self->unsent_ = std::move(request);
        if (self->exchange_) self->SendRest();
      });
}

bool PyCall::reserved() {
  const std::lock_guard<std::mutex> lock(mutex_);
  return reserved_;
}

void PyCall::OnCredit(std::uint32_t bytes) {
  credit_ += bytes;
  if (!holds_) return SendRest();
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    replica_ = exchange_->replica();
    reserved_ = true;
  }
  Tell();
}

void PyCall::SendRest() {
  while (!unsent_.empty() && credit_ > 0) {
    const std::string_view rest = std::string_view(unsent_).substr(sent_);
    const std::size_t n = std::min<std::size_t>(rest.size(), credit_);
    exchange_->SendBody(rest.substr(0, n), n == rest.size());
    credit_ -= static_cast<std::uint32_t>(n);
    sent_ += n;
    if (sent_ == unsent_.size()) unsent_.clear();
  }
}

void PyCall::Cancel() {
  loop_->Run([self = shared_from_this()] {
    if (self->outcome() != Outcome::kPending) return;
    if (self->exchange_) self->exchange_->Cancel();
    self->Finish(Outcome::kCancelled);
  });
}

void PyCall::OnReply(std::string_view payload, std::uint8_t flags) { Receive(payload, flags); }
void PyCall::OnBody(std::string_view piece, std::uint8_t flags) { Receive(piece, flags); }

void PyCall::Receive(std::string_view piece, std::uint8_t flags) {
  const bool end = (flags & base::kEnd) != 0;
  const bool raised = (flags & base::kFailure) != 0;
  const bool more = (flags & base::kMore) != 0;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (exchange_) replica_ = exchange_->replica();
    partial_ += piece;
    if (!more && (raised || !stream_)) {
      payload_ = std::exchange(partial_, {});
    } else if (!more && !(end && partial_.empty())) {
      items_.push_back(std::exchange(partial_, {}));  // an end without a piece is only an end
    }
  }
  if (!end) {
    // An item is credited when it is taken; the pieces of a large one at once, to get it whole.
    if (more && exchange_) exchange_->GrantCredit(static_cast<std::uint32_t>(piece.size()));
    return Tell();
  }
  Finish(raised ? Outcome::kRaised : Outcome::kResult);
}

void PyCall::OnFailure(const route::Failure& failure) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    failure_ = failure;
  }
  Finish(Outcome::kFailed);
}

void PyCall::Finish(Outcome outcome) {
  const auto self = std::exchange(self_, nullptr);
  exchange_.reset();
  unsent_.clear();
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    outcome_ = outcome;
    reserved_ = false;
  }
  Tell();
}

void PyCall::Tell() {
  PyRef callback;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    callback = callback_;
    if (outcome_ != Outcome::kPending) callback_ = PyRef();
  }
  ready_.notify_all();
  if (callback) WithGil([&] { callback.get()(); });
}

bool PyCall::Wait(double timeout_s) {
  const auto deadline = std::chrono::steady_clock::now() +
                        std::chrono::duration_cast<std::chrono::steady_clock::duration>(
                            FromSeconds(timeout_s < 0 ? kForever_s : timeout_s));
  while (true) {
    {
      const ReleasedGil released;
      std::unique_lock<std::mutex> lock(mutex_);
      const auto until = std::min(deadline, std::chrono::steady_clock::now() + kSignalPeriod);
      if (ready_.wait_until(lock, until, [this] { return Ready(); })) return true;
    }
    if (PyErr_CheckSignals() != 0) throw nb::python_error();
    if (std::chrono::steady_clock::now() >= deadline) return false;
  }
}

void PyCall::SetCallback(nb::object callback) {
  PyRef fresh(callback);
  bool ready = false;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    ready = Ready();
    if (outcome_ == Outcome::kPending) std::swap(callback_, fresh);
  }
  if (ready) callback();  // what was replaced goes here, outside the lock
}

std::optional<std::string> PyCall::PopItem() {
  std::string item;
  std::uint32_t owed = 0;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (items_.empty()) return std::nullopt;
    item = std::move(items_.front());
    items_.pop_front();
    owed_ += static_cast<std::uint32_t>(item.size());
    if (owed_ >= base::kCreditStep) owed = std::exchange(owed_, 0);
  }
  if (owed > 0) {
    loop_->Run([self = shared_from_this(), owed] {
      if (self->exchange_) self->exchange_->GrantCredit(owed);
    });
  }
  return item;
}

PyCall::Outcome PyCall::outcome() {
  const std::lock_guard<std::mutex> lock(mutex_);
  return outcome_;
}

nb::bytes PyCall::Payload() {
  const std::lock_guard<std::mutex> lock(mutex_);
  return Bytes(payload_);
}

route::Failure PyCall::failure() {
  const std::lock_guard<std::mutex> lock(mutex_);
  return failure_;
}

std::string PyCall::replica() {
  const std::lock_guard<std::mutex> lock(mutex_);
  return replica_;
}

// ---- the router -----------------------------------------------------------------------------

struct PyRouter::Native {
  Native(base::Loop& loop, const std::string& folder, std::string router_name, PyRef metrics_of)
      : name(std::move(router_name)),
        metrics(std::move(metrics_of)),
        router(loop),
        link(loop, base::InstancePaths{folder}.control_socket(),
             {.on_up =
                  [this] {
                    subscription.OnUp();
                    link.Notify("metrics.offer", {});
                  },
              .on_notice =
                  [this](const std::string& method, const base::Message& message) {
                    subscription.OnNotice(method, message.json);
                  },
              .on_call = [this](const std::string& method, const base::Message&,
                                const base::Peer::Respond& respond) { OnCall(method, respond); },
              .on_down = {}}),
        subscription(loop, link, router, route::Subscription::Scope::kUsed, name) {}

  void OnCall(const std::string& method, const base::Peer::Respond& respond) {
    if (method != "metrics.collect") {
      return respond(
          Status(Code::kUnimplemented, "a process with handles has no '" + method + "'"));
    }
    auto answer = base::OneSource("handle", name, route::RouterMetrics(router, name));
    if (metrics) {
      for (auto& family : FamiliesFrom(metrics)) {
        answer.json["sources"][0]["families"].push_back(std::move(family));
      }
    }
    respond(std::move(answer));
  }

  const std::string name;
  const PyRef metrics;
  route::Router router;
  base::ControlLink link;
  route::Subscription subscription;
};

PyRouter::PyRouter(std::shared_ptr<PyLoop> loop, const std::string& folder, const std::string& name,
                   nb::object metrics)
    : loop_(std::move(loop)) {
  const PyRef counted = metrics.is_none() ? PyRef() : PyRef(std::move(metrics));
  loop_->RunAndWait(
      [&] { native_ = std::make_unique<Native>(loop_->native(), folder, name, counted); });
}

PyRouter::~PyRouter() { Close(); }

void PyRouter::Close() {
  if (!native_) return;
  loop_->RunAndWait([&] {
    native_->router.Close();
    native_.reset();
  });
}

std::shared_ptr<PyCall> PyRouter::Start(const CallOptions& options, const nb::bytes& arguments,
                                        const std::string& replica, bool near) {
  if (!native_) Raise(Status(Code::kFailedPrecondition, "The handle's router has been shut down."));
  std::string payload = CallHead(options);
  payload += View(arguments);
  auto call = std::make_shared<PyCall>(loop_, options.stream);
  loop_->Run([this, call, id = DeploymentId{options.app, options.deployment}, replica, near,
              payload = std::move(payload)]() mutable {
    call->Begin(native_->router.Queue(id), std::move(payload), replica, near);
  });
  return call;
}

std::shared_ptr<PyCall> PyRouter::Reserve(const CallOptions& options, const nb::bytes& arguments,
                                          bool near) {
  if (!native_) Raise(Status(Code::kFailedPrecondition, "The handle's router has been shut down."));
  auto call = std::make_shared<PyCall>(loop_, options.stream);
  loop_->Run([this, call, id = DeploymentId{options.app, options.deployment}, near,
              head = CallHead(options, base::kHold),
              hint = std::string(View(arguments))]() mutable {
    call->Reserve(native_->router.Queue(id), std::move(head), std::move(hint), near);
  });
  return call;
}

void PyRouter::SetNode(const std::string& node) {
  loop_->Run([this, node] {
    if (native_) native_->router.SetNode(node);
  });
}

std::vector<std::pair<std::string, std::string>> PyRouter::Replicas(const std::string& app,
                                                                    const std::string& deployment) {
  std::vector<std::pair<std::string, std::string>> replicas;
  loop_->RunAndWait([&] {
    if (!native_) return;
    for (const auto& replica : native_->router.Queue({app, deployment}).route().replicas) {
      replicas.emplace_back(replica.id, replica.node);
    }
  });
  return replicas;
}

void PyRouter::WhenKnown(const std::string& app, const std::string& deployment, nb::object then) {
  loop_->Run([this, id = DeploymentId{app, deployment}, then = PyRef(std::move(then))] {
    if (!native_) return;
    native_->router.Queue(id).WhenKnown([then] { WithGil([&] { then.get()(); }); });
  });
}

std::string PyRouter::Describe(const std::string& app, const std::string& deployment) {
  using nlohmann::json;
  json description = {{"replicas", json::array()}};
  loop_->RunAndWait([&] {
    if (!native_) return;
    const route::DeploymentQueue& queue = native_->router.Queue({app, deployment});
    description["max_ongoing_requests"] = queue.route().max_ongoing_requests;
    for (const route::ReplicaView& replica : queue.Replicas()) {
      description["replicas"].push_back({{"id", replica.route.id},
                                         {"node", replica.route.node},
                                         {"alive", replica.alive},
                                         {"models", replica.models},
                                         {"stats", replica.stats}});
    }
  });
  return description.dump(-1, ' ', false, json::error_handler_t::replace);
}

void PyRouter::Watch(const std::string& app, const std::string& deployment, nb::object then) {
  loop_->Run([this, id = DeploymentId{app, deployment}, then = PyRef(std::move(then))] {
    if (!native_) return;
    native_->router.Queue(id).SetOnNews([then] { WithGil([&] { then.get()(); }); });
  });
}

void BindHandle(nb::module_& module) {
  nb::class_<PyCall>(module, "Call", "One call of a deployment's method, as its caller sees it.")
      .def("wait", &PyCall::Wait, nb::arg("timeout_s"),
           "Waits until there is something to take: an item, or the end. Negative: for ever.")
      .def("set_callback", &PyCall::SetCallback, nb::arg("callback"),
           "Calls `callback()` whenever there is something to take, on the loop's thread; at once "
           "if there is already. Replaces the one before.")
      .def(
          "pop_item",
          [](PyCall& self) -> std::optional<nb::bytes> {
            const auto item = self.PopItem();
            return item ? std::optional(Bytes(*item)) : std::nullopt;
          },
          "The next item of a stream, or None.")
      .def(
          "outcome", [](PyCall& self) { return static_cast<int>(self.outcome()); },
          "0 pending, 1 result, 2 raised, 3 failed, 4 cancelled.")
      .def("payload", &PyCall::Payload,
           "The result, or with outcome 2 the exception, as the replica sent it.")
      .def(
          "failure",
          [](PyCall& self) {
            const route::Failure failure = self.failure();
            return nb::make_tuple(static_cast<int>(failure.kind), Text(failure.message),
                                  failure.queued, failure.limit, failure.backpressure.status_code,
                                  failure.backpressure.retry_after_s
                                      ? nb::object(nb::float_(*failure.backpressure.retry_after_s))
                                      : nb::none());
          },
          "With outcome 3: (kind, message, queued, limit, status_code, retry_after_s); kinds are 0 "
          "back-pressure, 1 unavailable, 2 replica died, 3 shut down, 4 replica gone, 5 router "
          "failed.")
      .def("replica", &PyCall::replica, "The replica that answered.")
      .def("cancel", &PyCall::Cancel, "Tells the replica that nobody waits. Idempotent.")
      .def("reserved", &PyCall::reserved, "True while a slot is held for `dispatch`.")
      .def(
          "dispatch",
          [](PyCall& self, const std::string& app, const std::string& deployment,
             const std::string& method, const std::string& request_id, const std::string& route,
             const std::string& model_id, const std::string& session_id, bool stream,
             const nb::bytes& arguments) {
            self.Dispatch(OptionsFrom(app, deployment, method, request_id, route, model_id,
                                      session_id, stream),
                          arguments);
          },
          nb::arg("app"), nb::arg("deployment"), nb::arg("method"), nb::arg("request_id"),
          nb::arg("route"), nb::arg("model_id"), nb::arg("session_id"), nb::arg("stream"),
          nb::arg("arguments"), "The call that a slot was held for; once, while `reserved()`.");

  nb::class_<PyRouter>(module, "Router", "Sends this process's calls to replicas.")
      .def(nb::init<std::shared_ptr<PyLoop>, const std::string&, const std::string&, nb::object>(),
           nb::arg("loop"), nb::arg("folder"), nb::arg("name"), nb::arg("metrics").none(),
           "`metrics()` is what this process counts beside, as JSON; or None.")
      .def(
          "start",
          [](PyRouter& self, const std::string& app, const std::string& deployment,
             const std::string& method, const std::string& request_id, const std::string& route,
             const std::string& model_id, const std::string& session_id, bool stream,
             const nb::bytes& arguments, const std::string& replica, bool near) {
            return self.Start(OptionsFrom(app, deployment, method, request_id, route, model_id,
                                          session_id, stream),
                              arguments, replica, near);
          },
          nb::arg("app"), nb::arg("deployment"), nb::arg("method"), nb::arg("request_id"),
          nb::arg("route"), nb::arg("model_id"), nb::arg("session_id"), nb::arg("stream"),
          nb::arg("arguments"), nb::arg("replica") = "", nb::arg("near") = false,
          "Starts a call; with `replica` it is for that one alone, even if that is full; with "
          "`near` it prefers replicas of this node.")
      .def(
          "reserve",
          [](PyRouter& self, const std::string& app, const std::string& deployment,
             const std::string& method, const std::string& request_id, const std::string& route,
             const std::string& model_id, const std::string& session_id, bool stream,
             const nb::bytes& arguments, bool near) {
            return self.Reserve(OptionsFrom(app, deployment, method, request_id, route, model_id,
                                            session_id, stream),
                                arguments, near);
          },
          nb::arg("app"), nb::arg("deployment"), nb::arg("method"), nb::arg("request_id"),
          nb::arg("route"), nb::arg("model_id"), nb::arg("session_id"), nb::arg("stream"),
          nb::arg("arguments"), nb::arg("near") = false,
          "Takes a slot of some replica for a call that comes with `dispatch`. `arguments` are for "
          "a custom router to look at.")
      .def("set_node", &PyRouter::SetNode, nb::arg("node"), "The node of this process.")
      .def("describe", &PyRouter::Describe, nb::arg("app"), nb::arg("deployment"),
           "What is known of the deployment, as JSON {max_ongoing_requests, replicas}.")
      .def("watch", &PyRouter::Watch, nb::arg("app"), nb::arg("deployment"), nb::arg("then"),
           "Calls `then()` on the loop's thread after each change of what `describe` says.")
      .def("replicas", &PyRouter::Replicas, nb::arg("app"), nb::arg("deployment"),
           "[(replica, node), ...] as far as is known.")
      .def("when_known", &PyRouter::WhenKnown, nb::arg("app"), nb::arg("deployment"),
           nb::arg("then"), "Calls `then()` on the loop's thread once the deployment is known.")
      .def("close", &PyRouter::Close);
}

}  // namespace penstock::python
