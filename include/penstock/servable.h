// A deployment written in C++: a class in a shared object that answers requests.
//
//   class Echo final : public penstock::Servable {
//     penstock::ServedReply Answer(const penstock::ServedRequest& request) override {
//       return {.body = std::string(request.body)};
//     }
//   };
//   PENSTOCK_SERVABLE(Echo)
//
// Build it with the compiler and standard library that Penstock was built with, as a shared
// library; a deploy over the control protocol names its path (docs/design/control-protocol.md).
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace penstock {

// One HTTP request. Everything is borrowed until Answer returns.
struct ServedRequest {
  std::string_view method;  // "GET"
  std::string_view target;  // path and query, as received
  std::string_view request_id;
  std::vector<std::pair<std::string_view, std::string_view>> headers;  // names in lower case
  std::string_view body;
};

// What to answer.
struct ServedReply {
  int status = 200;
  std::vector<std::pair<std::string, std::string>> headers = {{"content-type", "text/plain"}};
  std::string body;
};

// Subclass this. Calls come one at a time, on one thread. An exception from the constructor or
// Reconfigure fails the start of the replica with its text; one from Answer is a 500.
class Servable {
 public:
  virtual ~Servable() = default;

  // Answers one request.
  virtual ServedReply Answer(const ServedRequest& request) = 0;

  // Called after construction when there is a user_config, and when it changed. JSON.
  virtual void Reconfigure(const std::string& user_config) { (void)user_config; }

  // Throw to be replaced.
  virtual void CheckHealth() {}
};

}  // namespace penstock

// Makes `Class`, which has a default constructor, the servable of its shared object.
// NOLINTBEGIN(bugprone-macro-parentheses): it is a declaration
#define PENSTOCK_SERVABLE(Class)                                                                   \
  extern "C" __attribute__((visibility("default"))) penstock::Servable* penstock_make_servable() { \
    return std::make_unique<Class>().release();                                                    \
  }
// NOLINTEND(bugprone-macro-parentheses)
