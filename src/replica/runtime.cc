#include "replica/runtime.h"

#include <sys/epoll.h>
#include <unistd.h>

#include <utility>
#include <vector>

#include "base/log.h"
#include "base/protocol.h"
#include "base/socket.h"

namespace penstock::replica {

using base::Frame;
using base::FrameHead;
using base::FrameKind;
using base::RefuseReason;

Runtime::Runtime(base::Loop& loop, UserCode& user_code, base::ProgressPage* page)
    : loop_(loop), user_code_(user_code), page_(page), telemetry_(loop) {}

Runtime::~Runtime() {
  if (listener_) {
    loop_.Unwatch(listener_.get(), *this);
    ::unlink(path_.c_str());
  }
  for (auto& [connection, router] : routers_) router->connection->Close();
}

Status Runtime::Listen(const std::string& path) {
  auto listener = base::ListenUnix(path);
  if (!listener.ok()) return listener.status();
  listener_ = *std::move(listener);
  path_ = path;
  loop_.Watch(listener_.get(), EPOLLIN, *this);
  return {};
}

void Runtime::OnEvents(std::uint32_t) {
  while (base::UniqueFd socket = base::Accept(listener_)) Adopt(std::move(socket));
}

void Runtime::Adopt(base::UniqueFd socket) {
  auto router = std::make_unique<Router>();
  Router* raw = router.get();
  auto connection = base::Connection::Open(
      loop_, std::move(socket), base::kMaxDataPayload,
      {.on_frame = [this, raw](const Frame& frame) { OnFrame(*raw, frame); },
       .on_closed = [this, raw](const std::string&) { OnClosed(raw->connection.get()); }});
  router->connection = connection;
  routers_.emplace(connection.get(), std::move(router));
  FrameHead hello = base::HelloHead();
  hello.ongoing = static_cast<std::uint32_t>(ongoing_);
  connection->Greet(hello, base::EncodeHello({.role = "replica"}));
  if (!models_.empty()) SendModels(*connection);
  if (!stats_.empty()) SendStats(*connection);
  if (draining_) connection->Send({.kind = FrameKind::kGoAway, .stream = 0});
}

void Runtime::SetMaxOngoing(int limit) {
  limit_ = limit;
  OfferSlots();
}

void Runtime::SetModels(std::vector<std::string> models) {
  if (models == models_) return;
  models_ = std::move(models);
  for (auto& [connection, router] : routers_) SendModels(*router->connection);
}

void Runtime::SendModels(base::Connection& connection) const {
  connection.Send({.kind = FrameKind::kModels, .ongoing = static_cast<std::uint32_t>(ongoing_)},
                  base::EncodeModels(models_));
}

Status Runtime::SetStats(std::string stats) {
  if (stats.size() > base::kMaxDataPayload) {
    return InvalidArgument("routing stats of " + std::to_string(stats.size()) +
                           " bytes are too large, allowed are " +
                           std::to_string(base::kMaxDataPayload));
  }
  if (stats == stats_) return {};
  stats_ = std::move(stats);
  for (auto& [connection, router] : routers_) SendStats(*router->connection);
  return {};
}

void Runtime::SendStats(base::Connection& connection) const {
  connection.Send({.kind = FrameKind::kStats, .ongoing = static_cast<std::uint32_t>(ongoing_)},
                  stats_);
}

void Runtime::Drain(std::function<void()> drained) {
  draining_ = true;
  drained_ = std::move(drained);
  for (auto& [connection, router] : routers_) {
    router->connection->Send({.kind = FrameKind::kGoAway,
                              .stream = router->last_admitted,
                              .ongoing = static_cast<std::uint32_t>(ongoing_)});
  }
  TellIfDrained();
}

void Runtime::TellIfDrained() {
  if (draining_ && calls_ == 0 && drained_) std::exchange(drained_, nullptr)();
}

void Runtime::OnFrame(Router& router, const Frame& frame) {
  if (frame.head.kind == FrameKind::kRequest) {
    OnRequest(router, frame);
    return;
  }
  if (frame.head.kind == FrameKind::kHello) {
    if (const auto hello = base::DecodeHello(frame.payload); !hello.ok()) {
      base::LogError("router_refused", {{"why", hello.status().message()}});
      OnClosed(router.connection.get());
    }
    return;
  }
  const auto found = router.calls.find(frame.head.stream);
  if (found == router.calls.end()) return;  // it ended; this frame crossed the news
  const auto call = found->second;
  if (frame.head.kind == FrameKind::kBody) {
    call->OnBody(frame.bytes(), (frame.head.flags & base::kEnd) != 0);
  } else if (frame.head.kind == FrameKind::kCredit) {
    call->OnCredit(base::DecodeCredit(frame.payload));
  } else if (frame.head.kind == FrameKind::kCancel) {
    Cancel(*call);
  }
}

// User code is told of a request that it runs.
void Runtime::Cancel(Call& call) {
  const auto self = call.shared_from_this();
  const bool held = call.held();
  const bool runs = !held && !call.finished();
  call.OnCancel();
  if (held) {
    call.Finish();
  } else if (runs) {
    user_code_.Cancel(call);
  }
}

void Runtime::OnRequest(Router& router, const Frame& frame) {
  const std::uint32_t stream = frame.head.stream;
  if (draining_) return Refuse(router, stream, RefuseReason::kLeaving);
  const bool must = (frame.head.flags & base::kAdmit) != 0;
  if (ongoing_ >= limit_ && !must) {
    router.refused = true;
    return Refuse(router, stream, RefuseReason::kFull);
  }
  base::RequestHead head;
  std::string_view body;
  if (!base::ParseRequestHead(frame.payload, head, body) || stream <= router.last_admitted) {
    base::LogError("router_refused", {{"why", "malformed request"}});
    OnClosed(router.connection.get());
    return;
  }
  ++ongoing_;
  ++calls_;
  if (page_ != nullptr) page_->NoteRequests(++begun_);
  router.last_admitted = stream;
  const bool end = (frame.head.flags & base::kEnd) != 0;
  auto call = std::make_shared<Call>(*this, router.connection, frame, loop_.clock().Now());
  router.calls.emplace(stream, call);
  if (!end) {
    router.connection->Send({.kind = FrameKind::kCredit,
                             .stream = stream,
                             .ongoing = static_cast<std::uint32_t>(ongoing_)},
                            base::EncodeCredit(base::kBodyWindow));
  }
  if (call->held()) return Hold(router, call);
  user_code_.Start(std::move(call));
}

// The slot is taken; user code hears of it when the request itself has come, as the body.
void Runtime::Hold(Router& router, const std::shared_ptr<Call>& call) {
  const auto begin = [this, &router, raw = call.get()] {
    if (raw->cancelled()) return;
    const auto self = raw->shared_from_this();
    if (raw->Adopt(loop_.clock().Now())) return user_code_.Start(self);
    base::LogError("router_refused", {{"why", "malformed request for a slot"}});
    OnClosed(router.connection.get());
  };
  call->CollectBody();
  if (call->body_ended()) return begin();
  call->SetOnBody(begin);
}

void Runtime::Refuse(Router& router, std::uint32_t stream, RefuseReason reason) {
  router.connection->Send({.kind = FrameKind::kRefuse,
                           .aux = static_cast<std::uint16_t>(reason),
                           .stream = stream,
                           .ongoing = static_cast<std::uint32_t>(ongoing_)});
}

void Runtime::OnAnswered(const Call& call) {
  --ongoing_;
  if (page_ != nullptr) page_->NoteAnswer();
  if (!call.held()) telemetry_.OnAnswered(call);  // a slot that nobody used is no request
  OfferSlots();
}

void Runtime::OnGone(const Call& call, const base::Connection* connection) {
  --calls_;
  if (const auto router = routers_.find(connection); router != routers_.end()) {
    router->second->calls.erase(call.stream());
  }
  TellIfDrained();
}

// Everybody who was refused hears of a free slot; who comes second is refused again.
void Runtime::OfferSlots() {
  if (ongoing_ >= limit_) return;
  for (auto& [connection, router] : routers_) {
    if (!std::exchange(router->refused, false)) continue;
    router->connection->Send(
        {.kind = FrameKind::kLoad, .ongoing = static_cast<std::uint32_t>(ongoing_)});
  }
}

void Runtime::OnClosed(const base::Connection* connection) {
  auto router = routers_.extract(connection);
  if (router.empty()) return;
  router.mapped()->connection->Close();
  // The connection's callbacks point at the router and may be running.
  const std::shared_ptr<Router> kept = std::move(router.mapped());
  loop_.Dispose(kept);
  // One that is answered leaves at once, and this map with it.
  for (const auto& [stream, call] : std::exchange(kept->calls, {})) Cancel(*call);
}

}  // namespace penstock::replica
