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

Runtime::Runtime(base::Loop& loop, UserCode& user_code)
    : loop_(loop), user_code_(user_code), telemetry_(loop) {}

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
  connection->Send(hello, base::EncodeHello({.role = "replica"}));
  if (!models_.empty()) SendModels(*connection);
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

void Runtime::Drain(std::function<void()> drained) {
  draining_ = true;
  drained_ = std::move(drained);
  for (auto& [connection, router] : routers_) {
    router->connection->Send({.kind = FrameKind::kGoAway,
                              .stream = router->last_admitted,
                              .ongoing = static_cast<std::uint32_t>(ongoing_)});
  }
  if (ongoing_ == 0 && drained_) std::exchange(drained_, nullptr)();
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
    call->OnBody(frame.payload, (frame.head.flags & base::kEnd) != 0);
  } else if (frame.head.kind == FrameKind::kCredit) {
    call->OnCredit(base::DecodeCredit(frame.payload));
  } else if (frame.head.kind == FrameKind::kCancel) {
    call->OnCancel();
    user_code_.Cancel(*call);
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
  router.last_admitted = stream;
  const bool end = (frame.head.flags & base::kEnd) != 0;
  auto call = std::make_shared<Call>(*this, router.connection, stream, std::string(frame.payload),
                                     end, loop_.clock().Now());
  router.calls.emplace(stream, call);
  if (!end) {
    router.connection->Send({.kind = FrameKind::kCredit,
                             .stream = stream,
                             .ongoing = static_cast<std::uint32_t>(ongoing_)},
                            base::EncodeCredit(base::kBodyWindow));
  }
  user_code_.Start(std::move(call));
}

void Runtime::Refuse(Router& router, std::uint32_t stream, RefuseReason reason) {
  router.connection->Send({.kind = FrameKind::kRefuse,
                           .aux = static_cast<std::uint16_t>(reason),
                           .stream = stream,
                           .ongoing = static_cast<std::uint32_t>(ongoing_)});
}

void Runtime::OnFinished(const Call& call, const base::Connection* connection) {
  --ongoing_;
  telemetry_.OnFinished(call);
  if (const auto router = routers_.find(connection); router != routers_.end()) {
    router->second->calls.erase(call.stream());
  }
  OfferSlots();
  if (draining_ && ongoing_ == 0 && drained_) std::exchange(drained_, nullptr)();
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
  for (const auto& [stream, call] : kept->calls) {
    call->OnCancel();
    user_code_.Cancel(*call);
  }
}

}  // namespace penstock::replica
