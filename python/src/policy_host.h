// The process of an autoscaling policy: the controller's questions to a Python object.
#pragma once

#include <nanobind/nanobind.h>

#include <map>
#include <memory>
#include <string>

#include "base/fd.h"
#include "base/loop.h"
#include "base/peer.h"
#include "loop.h"

namespace penstock::python {

// Listens for the controller. Loop's thread.
class PyPolicyHost final : private base::FdHandler {
 public:
  // Calls `code.decide(context_json, done)`; `done` is told {"replicas": count} as JSON.
  PyPolicyHost(std::shared_ptr<PyLoop> loop, const std::string& path, nb::object code);
  ~PyPolicyHost() override;

  PyPolicyHost(const PyPolicyHost&) = delete;
  PyPolicyHost& operator=(const PyPolicyHost&) = delete;

 private:
  void OnEvents(std::uint32_t events) override;
  void Accept(base::UniqueFd socket);
  void OnCall(const std::string& method, const base::Message& message,
              const base::Peer::Respond& respond);

  std::shared_ptr<PyLoop> loop_;
  PyRef code_;
  base::UniqueFd listener_;
  std::map<int, std::shared_ptr<base::Peer>> callers_;
  int next_caller_ = 1;
};

void BindPolicyHost(nb::module_& module);

}  // namespace penstock::python
