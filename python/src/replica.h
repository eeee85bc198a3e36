// The replica's side: user code in Python behind replica/user_code.h.
#pragma once

#include <nanobind/nanobind.h>

#include <memory>
#include <string>
#include <vector>

#include "loop.h"
#include "replica/call.h"
#include "replica/host.h"
#include "replica/user_code.h"
#include "sampler.h"

namespace penstock::python {

// Reports the end of a step to the agent, once.
class PyDone {
 public:
  explicit PyDone(replica::UserCode::Done done) : done_(std::move(done)) {}
  void Ok(const std::string& facts_json);
  void Fail(const std::string& message);

 private:
  void Report(Result<nlohmann::json> outcome);
  replica::UserCode::Done done_;
};

// Passes everything on to a Python object; its methods are listed in penstock/_replica.
class PythonCode final : public replica::UserCode {
 public:
  explicit PythonCode(nb::object code) : code_(std::move(code)) {}

  void Initialize(const nlohmann::json& assignment, Done done) override;
  void Reconfigure(const nlohmann::json& change, Done done) override;
  void CheckHealth(Done done) override;
  void Start(std::shared_ptr<replica::Call> call) override;
  void Cancel(replica::Call& call) override;
  nlohmann::json Metrics() override;
  void Shutdown(Done done) override;

 private:
  PyRef code_;
};

// A replica's runtime with Python code in it.
class PyHost {
 public:
  // `describe()` says what the main thread does, in words.
  PyHost(std::shared_ptr<PyLoop> loop, int control_fd, int page_fd, nb::object code,
         nb::object on_exit, nb::object describe);

  // Tells routers which models are here or being loaded. Any thread.
  void AnnounceModels(std::vector<std::string> models);

  // Tells them what the code says for them, as JSON.
  void AnnounceStats(const std::string& stats);

 private:
  std::shared_ptr<PyLoop> loop_;
  PythonCode code_;
  replica::Host host_;
  Sampler sampler_;
};

void BindReplica(nb::module_& module);

}  // namespace penstock::python
