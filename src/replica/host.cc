#include "replica/host.h"

#include <utility>

#include "base/process.h"

namespace penstock::replica {
namespace {

using base::Json;
using base::Message;
using base::Peer;

// Passes the outcome of a step on to the agent.
UserCode::Done Answer(Peer::Respond respond) {
  return [respond = std::move(respond)](Result<Json> outcome) {
    if (outcome.ok()) {
      respond(Message{*std::move(outcome), ""});
    } else {
      respond(outcome.status());
    }
  };
}

}  // namespace

Host::Host(base::Loop& loop, base::UniqueFd control, std::unique_ptr<base::ProgressPage> page,
           UserCode& user_code, std::function<void()> on_exit)
    : loop_(loop),
      user_code_(user_code),
      page_(std::move(page)),
      runtime_(loop, user_code, page_.get()),
      on_exit_(std::move(on_exit)) {
  loop_.NoteTurnsIn(page_.get());
  agent_ = Peer::Open(
      loop, std::move(control),
      {.on_call = [this](
                      const std::string& method, const Message& params,
                      Peer::Respond respond) { OnCall(method, params.json, std::move(respond)); },
       .on_notice = {},
       .on_closed = [this](const std::string&) { on_exit_(); }});
}

Host::~Host() { loop_.NoteTurnsIn(nullptr); }

void Host::OnCall(const std::string& method, const Json& params, Peer::Respond respond) {
  if (method == "replica.init") {
    Initialize(params, std::move(respond));
  } else if (method == "replica.reconfigure") {
    Reconfigure(params, std::move(respond));
  } else if (method == "replica.health") {
    CheckHealth(params, std::move(respond));
  } else if (method == "replica.metrics") {
    Json families = ToJson(runtime_.telemetry().Metrics(runtime_.ongoing()));
    for (Json& family : user_code_.Metrics()) families.push_back(std::move(family));
    respond(Message{{{"families", std::move(families)}}, ""});
  } else if (method == "replica.drain") {
    runtime_.Drain([respond = std::move(respond)] { respond(Message{}); });
  } else if (method == "replica.stop") {
    user_code_.Shutdown([this, respond = std::move(respond)](Result<Json> outcome) {
      runtime_.telemetry().Flush();
      Answer(respond)(std::move(outcome));
      on_exit_();
    });
  } else {
    respond(Status(Code::kUnimplemented, "a replica has no '" + method + "'"));
  }
}

// Listens only once the code is ready: a router that can connect can be answered.
void Host::Initialize(const Json& params, Peer::Respond respond) {
  if (Status bad = runtime_.telemetry().Begin(params); !bad.ok()) return respond(bad);
  runtime_.SetMaxOngoing(params.value("max_ongoing_requests", 1));
  const std::string socket = params.value("socket", "");
  user_code_.Initialize(params, [this, socket, respond = std::move(respond)](Result<Json> outcome) {
    if (outcome.ok()) {
      if (Status bad = runtime_.Listen(socket); !bad.ok()) outcome = bad;
    }
    Answer(respond)(std::move(outcome));
  });
}

void Host::CheckHealth(const Json& params, Peer::Respond respond) {
  if (page_) page_->NoteCheck(params.value("check", std::uint64_t{0}), loop_.clock().Now());
  runtime_.telemetry().Flush();  // and looks whether the log has grown too large
  user_code_.CheckHealth([respond = std::move(respond)](Result<Json> outcome) {
    if (outcome.ok() && !outcome->is_object()) *outcome = Json::object();
    if (outcome.ok()) (*outcome)["threads_cpu_s"] = ToSeconds(base::CpuTimeOfOtherThreads());
    Answer(respond)(std::move(outcome));
  });
}

void Host::Reconfigure(const Json& params, Peer::Respond respond) {
  if (params.contains("max_ongoing_requests")) {
    runtime_.SetMaxOngoing(params.at("max_ongoing_requests").get<int>());
  }
  if (params.contains("logging")) {
    if (Status bad = runtime_.telemetry().SetLogging(params.at("logging")); !bad.ok()) {
      return respond(bad);
    }
  }
  user_code_.Reconfigure(params, Answer(std::move(respond)));
}

}  // namespace penstock::replica
