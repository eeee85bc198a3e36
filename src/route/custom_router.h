// The caller's end of a custom router: Python code in a process of its own, which says of a request
// which replicas it may go to, in order. docs/design/dataplane.md has the design.
//
// Thread: the router's loop.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/control_link.h"
#include "base/loop.h"
#include "penstock/ids.h"
#include "penstock/status.h"
#include "route/pick.h"
#include "route/policy.h"

namespace penstock::route {

// The answer of a custom router. kInvalidArgument when it is none.
Result<Ranking> ParseRanking(const nlohmann::json& answer);

class CustomRouter {
 public:
  // A request that waits to be told.
  struct Question {
    std::uint64_t request = 0;  // its number with this caller; the same when it is asked again
    NodeId node;                // of the caller; "" when that is not known
    bool near = false;          // prefers replicas of that node
    std::vector<std::pair<std::string, Candidate>> replicas;
    // The request's frame, and what of it has not been sent with that; both empty when it was
    // asked about before over the same connection.
    std::string_view payload;
    std::string_view rest;
  };
  using OnAnswer = std::function<void(Result<Ranking>)>;

  // `on_up`: its process can be asked, at first or again; it knows nothing of what it was asked
  // before.
  CustomRouter(base::Loop& loop, const std::string& socket, std::function<void()> on_up);

  CustomRouter(const CustomRouter&) = delete;
  CustomRouter& operator=(const CustomRouter&) = delete;

  // True while it can be asked.
  bool up() const { return up_ && link_.up(); }

  // True when it serves who came first, whoever it was asked about.
  bool fifo() const { return fifo_; }

  // Pre: up(). kUnavailable when its process ends first; any other error is the router's own.
  void Ask(const Question& question, OnAnswer on_answer);

  // What became of a request that it was asked about: it was sent to a replica; it ended there, or
  // was dropped while it waited.
  void Routed(std::uint64_t request, const std::string& replica);
  void Ended(std::uint64_t request);

 private:
  void OnNotice(const std::string& method, const nlohmann::json& params);

  std::function<void()> on_up_;
  bool up_ = false;  // it has said what it is
  bool fifo_ = false;
  base::ControlLink link_;
};

}  // namespace penstock::route
