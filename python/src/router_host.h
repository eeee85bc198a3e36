// The process of a custom request router: callers in, questions to a Python object.
#pragma once

#include <nanobind/nanobind.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "base/fd.h"
#include "base/heads.h"
#include "base/loop.h"
#include "base/peer.h"
#include "loop.h"

namespace penstock::python {

// A request as a router looks at it: its head, and its body as far as it is known.
class PyRequest {
 public:
  // ValueError when `frame` is no request.
  explicit PyRequest(const nb::bytes& frame);

  PyRequest(const PyRequest&) = delete;
  PyRequest& operator=(const PyRequest&) = delete;

  const base::RequestHead& head() const { return head_; }
  std::string_view body() const { return body_; }

 private:
  std::string frame_;  // head_ and body_ point into it
  base::RequestHead head_;
  std::string_view body_;
};

// Listens for the routers of other processes. Loop's thread.
class PyRouterHost final : private base::FdHandler {
 public:
  // Calls `code.choose(caller, params_json, frame, done)`, `code.routed(caller, request, replica)`,
  // `code.ended(caller, request)` and `code.gone(caller)`. `fifo` is what callers are told.
  PyRouterHost(std::shared_ptr<PyLoop> loop, const std::string& path, nb::object code, bool fifo);
  ~PyRouterHost() override;

  PyRouterHost(const PyRouterHost&) = delete;
  PyRouterHost& operator=(const PyRouterHost&) = delete;

 private:
  void OnEvents(std::uint32_t events) override;
  void Accept(base::UniqueFd socket);
  void OnCall(std::uint64_t caller, const std::string& method, const base::Message& message,
              const base::Peer::Respond& respond);
  void OnNotice(std::uint64_t caller, const std::string& method, const base::Json& params);
  void OnClosed(std::uint64_t caller);

  std::shared_ptr<PyLoop> loop_;
  PyRef code_;
  bool fifo_;
  base::UniqueFd listener_;
  std::map<std::uint64_t, std::shared_ptr<base::Peer>> callers_;
  std::uint64_t next_caller_ = 1;
};

void BindRouterHost(nb::module_& module);

}  // namespace penstock::python
