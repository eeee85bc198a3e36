// The caller's side: a router in this process, and calls under way.
#pragma once

#include <nanobind/nanobind.h>

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/control_link.h"
#include "loop.h"
#include "route/router.h"
#include "route/subscription.h"

namespace penstock::python {

// What a call says of itself, beside its arguments.
struct CallOptions {
  std::string app;
  std::string deployment;
  std::string method;
  std::string request_id;
  std::string route;
  std::string model_id;
  std::string session_id;
  bool stream = false;
};

// One call: a result, or the items of a stream, or a failure. Python waits for it from any
// thread; the router fills it on the loop's.
class PyCall final : public route::ReplySink, public std::enable_shared_from_this<PyCall> {
 public:
  // How a call ended. The numbers are those that Python knows.
  enum class Outcome { kPending = 0, kResult = 1, kRaised = 2, kFailed = 3, kCancelled = 4 };

  PyCall(std::shared_ptr<PyLoop> loop, bool stream) : loop_(std::move(loop)), stream_(stream) {}

  // Sends the request; with `replica` to that one alone, with `near` to one of this node if it
  // can. Loop's thread.
  void Begin(route::DeploymentQueue& queue, std::string payload, const std::string& replica,
             bool near);

  // Takes a slot of some replica for a call that comes with Dispatch. `head`: what it will be like,
  // with arguments that are only looked at. Loop's thread.
  void Reserve(route::DeploymentQueue& queue, std::string head, std::string arguments, bool near);

  // Any thread.
  void Dispatch(const CallOptions& options, const nb::bytes& arguments);  // once, after reserved()
  bool reserved();  // a slot is held, and was not used yet
  void Cancel();
  bool Wait(double timeout_s);  // GIL held; released while it waits
  void SetCallback(nb::object callback);
  std::optional<std::string> PopItem();
  Outcome outcome();
  nb::bytes Payload();
  route::Failure failure();
  std::string replica();

  // Loop's thread.
  void OnReply(std::string_view payload, std::uint8_t flags) override;
  void OnBody(std::string_view piece, std::uint8_t flags) override;
  void OnCredit(std::uint32_t bytes) override;
  void OnFailure(const route::Failure& failure) override;
  std::string_view Unsent() const override { return holds_ ? hint_ : unsent_; }

 private:
  void SendRest();
  void Receive(std::string_view piece, std::uint8_t flags);
  void Finish(Outcome outcome);
  void Tell();
  bool Ready() const { return outcome_ != Outcome::kPending || !items_.empty() || reserved_; }

  std::shared_ptr<PyLoop> loop_;
  bool stream_;                                // loop's thread
  std::shared_ptr<route::Exchange> exchange_;  // loop's thread only
  std::shared_ptr<PyCall> self_;               // while the router points at this; loop's thread
  std::string unsent_;                         // rest of a large request; loop's thread
  std::size_t sent_ = 0;                       // unsent_[0, sent_) has been sent
  std::uint32_t credit_ = 0;
  bool holds_ = false;  // the request is still to come; loop's thread
  std::string hint_;    // what it may be

  std::mutex mutex_;  // guards what follows
  std::condition_variable ready_;
  Outcome outcome_ = Outcome::kPending;
  std::string partial_;            // of the item that is being received
  std::deque<std::string> items_;  // complete, not taken yet
  std::uint32_t owed_ = 0;         // bytes of items taken and not yet credited
  std::string payload_;            // result, or pickled exception
  route::Failure failure_;
  std::string replica_;
  bool reserved_ = false;
  PyRef callback_;
};

// The router of this process, subscribed to what its handles use.
class PyRouter {
 public:
  // `metrics`: called for what this process counts beside, as JSON; None for nothing.
  PyRouter(std::shared_ptr<PyLoop> loop, const std::string& folder, const std::string& name,
           nb::object metrics);
  ~PyRouter();

  PyRouter(const PyRouter&) = delete;
  PyRouter& operator=(const PyRouter&) = delete;

  // Starts a call. `arguments` are the bytes that the replica gets. With `replica` it is for that
  // one alone, which takes it even if it is full; with `near` it prefers replicas of this node.
  std::shared_ptr<PyCall> Start(const CallOptions& options, const nb::bytes& arguments,
                                const std::string& replica, bool near);

  // Takes a slot for a call that comes later; a custom router looks at `arguments`.
  std::shared_ptr<PyCall> Reserve(const CallOptions& options, const nb::bytes& arguments,
                                  bool near);

  // The node of this process.
  void SetNode(const std::string& node);

  // Replicas that the deployment is known to have, each with its node; none when it is not known.
  std::vector<std::pair<std::string, std::string>> Replicas(const std::string& app,
                                                            const std::string& deployment);

  // Calls `then()` on the loop's thread once the deployment is known: soon if it is.
  void WhenKnown(const std::string& app, const std::string& deployment, nb::object then);

  // What is known of the deployment, as JSON: max_ongoing_requests, replicas.
  std::string Describe(const std::string& app, const std::string& deployment);

  // Calls `then()` on the loop's thread after each change of what Describe says.
  void Watch(const std::string& app, const std::string& deployment, nb::object then);

  // Ends every call under way.
  void Close();

 private:
  struct Native;
  std::shared_ptr<PyLoop> loop_;
  std::unique_ptr<Native> native_;
};

void BindHandle(nb::module_& module);

}  // namespace penstock::python
