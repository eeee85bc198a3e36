#include "replica/library_code.h"

#include <dlfcn.h>

#include <exception>
#include <functional>
#include <string_view>
#include <utility>

#include "base/heads.h"
#include "replica/call.h"

namespace penstock::replica {
namespace {

using nlohmann::json;
using Maker = Servable* (*)();

// Runs user code, whose exceptions end here and become a Status.
Status Guarded(const char* step, const std::function<void()>& code) {
  try {
    code();
  } catch (const std::exception& error) {
    return Internal(std::string(step) + ": " + error.what());
  } catch (...) {
    return Internal(std::string(step) + ": an exception that is no std::exception");
  }
  return {};
}

Result<json> Outcome(const Status& status) {
  if (!status.ok()) return status;
  return json();
}

}  // namespace

LibraryCode::LibraryCode() = default;
LibraryCode::~LibraryCode() = default;

Status LibraryCode::Load(const std::string& path) {
  // Never unloaded: the code may have started threads, and its destructors run at exit.
  void* library = ::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) return Internal(std::string("cannot load: ") + ::dlerror());
  const auto make = reinterpret_cast<Maker>(::dlsym(library, "penstock_make_servable"));
  if (make == nullptr) return Internal("'" + path + "' has no PENSTOCK_SERVABLE");
  return Guarded("constructor", [&] { servable_.reset(make()); });
}

void LibraryCode::Initialize(const json& assignment, Done done) {
  Status status = Load(assignment.value("library", ""));
  const json user_config = assignment.value("user_config", json());
  if (status.ok() && !user_config.is_null()) {
    status = Guarded("Reconfigure", [&] { servable_->Reconfigure(user_config.dump()); });
  }
  if (status.ok()) status = Guarded("CheckHealth", [&] { servable_->CheckHealth(); });
  done(Outcome(status));
}

void LibraryCode::Reconfigure(const json& change, Done done) {
  Status status;
  if (change.contains("user_config")) {
    status =
        Guarded("Reconfigure", [&] { servable_->Reconfigure(change.at("user_config").dump()); });
  }
  done(Outcome(status));
}

void LibraryCode::CheckHealth(Done done) {
  done(Outcome(Guarded("CheckHealth", [&] { servable_->CheckHealth(); })));
}

void LibraryCode::Start(std::shared_ptr<Call> call) {
  if (call->head().kind == base::CallKind::kWebSocket) {
    return call->Reply({.status = 403}, "", /*end=*/true);  // code of this kind has no WebSockets
  }
  if (call->head().kind != base::CallKind::kHttp) {
    call->Reply("Ea C++ deployment answers HTTP requests only", /*failure=*/true);
    return;
  }
  if (call->body_ended()) {
    Answer(*call, call->TakeBody());
    return;
  }
  auto body = std::make_shared<std::string>();
  call->SetOnBody([this, body, weak = std::weak_ptr(call)] {
    const auto waiting = weak.lock();
    if (!waiting || waiting->cancelled()) return;
    *body += waiting->TakeBody();
    if (waiting->body_ended()) Answer(*waiting, *body);
  });
}

void LibraryCode::Answer(Call& call, const std::string& body) {
  ServedReply reply;
  const Status status = Guarded("Answer", [&] {
    reply = servable_->Answer({.method = call.head().method,
                               .target = call.head().target,
                               .request_id = call.head().request_id,
                               .headers = call.head().headers,
                               .body = body});
  });
  if (!status.ok()) {
    call.NoteFailure("Exception");
    reply = {.status = 500, .headers = {}, .body = "Internal Server Error"};
  }
  base::ReplyHead head{.status = static_cast<std::uint16_t>(reply.status)};
  for (const auto& [name, value] : reply.headers) head.headers.emplace_back(name, value);
  call.Reply(head, reply.body, /*end=*/true);
}

void LibraryCode::Cancel(Call& call) { call.Finish(); }

void LibraryCode::Shutdown(Done done) {
  servable_.reset();
  done(json());
}

}  // namespace penstock::replica
