// User code that a test drives by hand: calls wait until the test answers them.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/heads.h"
#include "replica/call.h"
#include "replica/user_code.h"

namespace penstock::testing_support {

class ScriptedCode final : public replica::UserCode {
 public:
  // Called with each request; by default it is only kept.
  std::function<void(std::shared_ptr<replica::Call>)> on_start;

  std::vector<std::shared_ptr<replica::Call>> calls;  // in order of admission
  int cancelled = 0;

  void Initialize(const nlohmann::json&, Done done) override { done(nlohmann::json()); }
  void Reconfigure(const nlohmann::json&, Done done) override { done(nlohmann::json()); }
  void CheckHealth(Done done) override { done(nlohmann::json()); }
  void Shutdown(Done done) override { done(nlohmann::json()); }

  void Start(std::shared_ptr<replica::Call> call) override {
    calls.push_back(call);
    if (on_start) on_start(std::move(call));
  }

  void Cancel(replica::Call& call) override {
    ++cancelled;
    call.Finish();
  }
};

// A 200 with `body`.
inline void AnswerHttp(replica::Call& call, const std::string& body) {
  call.Reply({.status = 200, .headers = {{"content-type", "text/plain"}}}, body, /*end=*/true);
}

}  // namespace penstock::testing_support
