#include "control/policy_links.h"

#include <cmath>
#include <utility>

namespace penstock::control {
namespace {

Result<double> CountFrom(const nlohmann::json& answer) {
  const auto count = answer.is_object() ? answer.find("replicas") : answer.end();
  if (count == answer.end() || !count->is_number()) {
    return InvalidArgument("the policy's process did not answer with a number");
  }
  const double wanted = *count;
  if (!std::isfinite(wanted) || wanted < 0 || wanted > 1e6) {
    return InvalidArgument("the policy returned " + count->dump() +
                           ", allowed are numbers from 0 to 1000000");
  }
  return wanted;
}

}  // namespace

void PolicyLinks::Ask(const std::string& socket, const nlohmann::json& context,
                      std::function<void(Result<double>)> done) {
  auto& link = links_[socket];
  if (!link) {
    link = std::make_unique<base::ControlLink>(
        loop_, socket,
        base::ControlLink::Callbacks{
            .on_notice = [](const std::string&, const base::Message&) {},
            .on_call =
                [](const std::string& method, const base::Message&,
                   const base::Peer::Respond& respond) {
                  respond(Status(Code::kUnimplemented, "the controller has no '" + method + "'"));
                }});
  }
  link->Call("policy.decide", {context, ""},
             [done = std::move(done)](const Result<base::Message>& answer) {
               done(answer.ok() ? CountFrom(answer->json) : answer.status());
             });
}

void PolicyLinks::Forget(const std::string& socket) { links_.erase(socket); }

}  // namespace penstock::control
