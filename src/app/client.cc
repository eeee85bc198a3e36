#include "app/client.h"

#include <optional>

#include "base/instance.h"
#include "base/loop.h"
#include "base/peer.h"
#include "base/socket.h"

namespace penstock::app {

Result<base::Message> CallInstance(const std::string& folder, const std::string& method,
                                   const base::Message& params, Duration timeout) {
  auto loop = base::Loop::Create();
  if (!loop.ok()) return loop.status();
  auto socket = base::ConnectUnix(base::InstancePaths{folder}.control_socket());
  if (!socket.ok()) return socket.status();
  std::optional<Result<base::Message>> answer;
  const auto peer = base::Peer::Open(**loop, *std::move(socket), {});
  peer->Call(method, params, [&](Result<base::Message> result) {
    answer = std::move(result);
    (*loop)->Stop();
  });
  (*loop)->After(timeout, [&] { (*loop)->Stop(); });
  (*loop)->Run();
  if (!answer) return Status(Code::kDeadlineExceeded, method + ": no answer in time");
  return *std::move(answer);
}

}  // namespace penstock::app
