#include "route/custom_router.h"

namespace penstock::route {

using base::Message;
using Json = nlohmann::json;

Result<Ranking> ParseRanking(const Json& answer) {
  try {  // the library reports a missing or mistyped field by throwing
    return answer.at("ranked").get<Ranking>();
  } catch (const Json::exception& error) {
    return InvalidArgument(std::string("answer of a request router: ") + error.what());
  }
}

CustomRouter::CustomRouter(base::Loop& loop, const std::string& socket, std::function<void()> on_up)
    : on_up_(std::move(on_up)),
      link_(loop, socket,
            {.on_up = {},
             .on_notice = [this](const std::string& method,
                                 const Message& message) { OnNotice(method, message.json); },
             .on_call = {},
             .on_down = [this] { up_ = false; }}) {}

// It speaks first, so that nothing is asked before it is known what the answers mean.
void CustomRouter::OnNotice(const std::string& method, const Json& params) {
  if (method != "router.hello") return;
  fifo_ = params.at("fifo");
  up_ = true;
  on_up_();
}

void CustomRouter::Ask(const Question& question, OnAnswer on_answer) {
  Json replicas = Json::array();
  for (const auto& [id, candidate] : question.replicas) {
    replicas.push_back({{"id", id}, {"ongoing", candidate.ongoing}, {"open", candidate.open}});
  }
  std::string blob;
  blob.reserve(question.payload.size() + question.rest.size());
  blob.append(question.payload).append(question.rest);
  link_.Call("router.choose",
             {{{"request", question.request},
               {"node", question.node},
               {"near", question.near},
               {"replicas", replicas}},
              std::move(blob)},
             [on_answer = std::move(on_answer)](const Result<Message>& answer) {
               on_answer(answer.ok() ? ParseRanking(answer->json) : answer.status());
             });
}

void CustomRouter::Routed(std::uint64_t request, const std::string& replica) {
  link_.Notify("router.routed", {{{"request", request}, {"replica", replica}}, ""});
}

void CustomRouter::Ended(std::uint64_t request) {
  link_.Notify("router.ended", {{{"request", request}}, ""});
}

}  // namespace penstock::route
