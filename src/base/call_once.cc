#include "base/call_once.h"

#include <algorithm>
#include <optional>

#include "base/instance.h"
#include "base/loop.h"
#include "base/peer.h"
#include "base/socket.h"

namespace penstock::base {
namespace {

constexpr Duration kInterruptPeriod = std::chrono::milliseconds(100);

}  // namespace

Result<Message> CallOnce(const std::string& folder, const std::string& method,
                         const Message& params, const CallOptions& options) {
  auto loop = Loop::Create();
  if (!loop.ok()) return loop.status();
  auto socket = ConnectUnix(InstancePaths{folder}.control_socket());
  if (!socket.ok()) return socket.status();
  std::optional<Result<Message>> answer;
  const auto peer = Peer::Open(**loop, *std::move(socket), {});
  peer->Call(method, params, [&](Result<Message> result) { answer = std::move(result); });
  const TimePoint deadline = (*loop)->Now() + options.timeout;
  while (!answer) {
    const Duration left = deadline - (*loop)->Now();
    if (left <= Duration::zero()) {
      return Status(Code::kDeadlineExceeded, method + ": no answer in time");
    }
    (*loop)->RunOnce(options.interrupted ? std::min(left, kInterruptPeriod) : left);
    if (!answer && options.interrupted && options.interrupted()) {
      return Status(Code::kCancelled, method + ": interrupted");
    }
  }
  return *std::move(answer);
}

}  // namespace penstock::base
