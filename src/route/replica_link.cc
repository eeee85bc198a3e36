#include "route/replica_link.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "base/frame.h"
#include "base/heads.h"
#include "base/log.h"
#include "base/protocol.h"
#include "base/socket.h"
#include "route/deployment_queue.h"
#include "route/exchange.h"

namespace penstock::route {
namespace {

using base::Frame;
using base::FrameHead;
using base::FrameKind;
using base::RefuseReason;

constexpr Duration kFirstRetry = std::chrono::milliseconds(10);
constexpr Duration kLastRetry = std::chrono::seconds(1);

}  // namespace

ReplicaLink::ReplicaLink(base::Loop& loop, ReplicaRoute route, DeploymentQueue& queue)
    : loop_(loop), route_(std::move(route)), queue_(queue), retry_delay_(kFirstRetry) {
  Connect();
}

ReplicaLink::~ReplicaLink() {
  if (retry_ != 0) loop_.Cancel(retry_);
  if (connection_) connection_->Close();
  for (const auto& [stream, exchange] : streams_) {
    if (ReplySink* sink = exchange->Finish()) {
      sink->OnFailure(
          {.kind = Failure::Kind::kShutdown, .message = "The router is shutting down."});
    }
  }
}

void ReplicaLink::Connect() {
  retry_ = 0;
  auto socket = base::ConnectUnix(route_.socket);
  if (!socket.ok()) {
    retry_ = loop_.After(retry_delay_, [this] { Connect(); });
    retry_delay_ = std::min(2 * retry_delay_, kLastRetry);
    return;
  }
  retry_delay_ = kFirstRetry;
  connection_ = base::Connection::Open(loop_, *std::move(socket), base::kMaxDataPayload,
                                       {.on_frame = [this](const Frame& frame) { OnFrame(frame); },
                                        .on_closed = [this](const std::string&) { OnClosed(); }});
  connection_->Greet(base::HelloHead(), base::EncodeHello({.role = "router"}));
}

Candidate ReplicaLink::Look(int max_ongoing_requests) const {
  const auto mine = Mine();
  const bool room = mine < static_cast<std::uint32_t>(max_ongoing_requests);
  return {.ongoing = mine + others_, .open = room && !full_ && alive()};
}

Candidate ReplicaLink::Look(int max_ongoing_requests, const std::string& model) const {
  Candidate candidate = Look(max_ongoing_requests);
  candidate.models = static_cast<std::uint32_t>(models_.size());
  if (!alive()) return candidate;
  if (std::ranges::binary_search(models_, model)) {
    candidate.affinity = Affinity::kHas;
  } else if (std::ranges::any_of(streams_,
                                 [&](const auto& s) { return s.second->model_ == model; })) {
    candidate.affinity = Affinity::kAsked;
  }
  return candidate;
}

void ReplicaLink::Send(const std::shared_ptr<Exchange>& exchange) {
  const std::uint32_t stream = next_stream_++;
  exchange->link_ = this;
  exchange->stream_ = stream;
  exchange->replica_ = route_.id;
  streams_.emplace(stream, exchange);
  FrameHead head{.kind = FrameKind::kRequest, .stream = stream};
  if (exchange->end_) head.flags |= base::kEnd;
  if (exchange->pinned_) head.flags |= base::kAdmit;
  // A large body may go through shared memory; its head may not.
  std::string_view payload = exchange->payload_;
  std::string_view body;
  if (base::RequestHead parsed;
      payload.size() > base::kBodyPiece && base::ParseRequestHead(payload, parsed, body)) {
    payload.remove_suffix(body.size());
  }
  connection_->Send(head, payload, body);
}

void ReplicaLink::SendBody(std::uint32_t stream, std::string_view piece, bool end) {
  // Cut to frames: a frame is the unit in which connections share the socket.
  do {
    const std::string_view part = piece.substr(0, connection_->piece_size());
    piece.remove_prefix(part.size());
    const bool last = end && piece.empty();
    connection_->Send(
        {.kind = FrameKind::kBody, .flags = last ? base::kEnd : std::uint8_t{0}, .stream = stream},
        {}, part);
  } while (!piece.empty());
}

void ReplicaLink::SendCredit(std::uint32_t stream, std::uint32_t bytes) {
  connection_->Send({.kind = FrameKind::kCredit, .stream = stream}, base::EncodeCredit(bytes));
}

void ReplicaLink::Cancel(std::uint32_t stream) {
  const auto gone = streams_.extract(stream);
  if (gone.empty()) return;
  if (gone.mapped()->answered_) --answered_;
  connection_->Send({.kind = FrameKind::kCancel, .stream = stream});
  queue_.Pump();
  queue_.OnLinkIdle();
}

// What it runs now, less what is ours, is what others run there.
void ReplicaLink::Heard(std::uint32_t ongoing) {
  const auto mine = Mine();
  others_ = ongoing > mine ? ongoing - mine : 0;
  if (ongoing < static_cast<std::uint32_t>(queue_.route().max_ongoing_requests)) full_ = false;
}

void ReplicaLink::OnFrame(const Frame& frame) {
  switch (frame.head.kind) {
    case FrameKind::kReply:
    case FrameKind::kBody:
      OnReplyFrame(frame);
      return;
    case FrameKind::kCredit: {
      const auto found = streams_.find(frame.head.stream);
      if (found == streams_.end()) return;
      const auto exchange = found->second;
      exchange->committed_ = true;
      exchange->payload_.clear();
      exchange->sink_->OnCredit(base::DecodeCredit(frame.payload));
      return;
    }
    case FrameKind::kRefuse:
      OnRefuse(frame);
      return;
    case FrameKind::kGoAway:
      OnGoAway(frame.head.stream);
      return;
    case FrameKind::kHello:
      if (const auto hello = base::DecodeHello(frame.payload); !hello.ok()) {
        base::LogError("replica_link_refused",
                       {{"replica", route_.id}, {"why", hello.status().message()}});
        leaving_ = true;  // never the right version later
        connection_->Close();
        FailStreams("speaks another version of the protocol");
        return;
      }
      Heard(frame.head.ongoing);
      queue_.OnNews();
      break;
    case FrameKind::kLoad:
      full_ = false;
      Heard(frame.head.ongoing);
      break;
    case FrameKind::kModels:
      OnModels(frame.payload);
      queue_.OnNews();
      break;
    case FrameKind::kStats:
      stats_ = frame.payload;
      queue_.OnNews();
      return;
    default:
      return;  // a kind of a newer minor version
  }
  queue_.Pump();
}

void ReplicaLink::OnReplyFrame(const Frame& frame) {
  const auto found = streams_.find(frame.head.stream);
  if (found == streams_.end()) return;  // cancelled; this frame crossed the news
  const auto exchange = found->second;
  exchange->committed_ = true;
  const bool end = (frame.head.flags & base::kEnd) != 0;
  const bool answered = (frame.head.flags & base::kAnswered) != 0;
  if (answered && !std::exchange(exchange->answered_, true)) ++answered_;
  if (end) {
    if (exchange->answered_) --answered_;
    streams_.erase(found);
  }
  Heard(frame.head.ongoing);
  Deliver(*exchange, frame, end);
  if (!end && !answered) return;
  queue_.Pump();
  if (!end) return;
  queue_.OnLinkIdle();
}

void ReplicaLink::Deliver(Exchange& exchange, const Frame& frame, bool end) {
  if (end && exchange.waited_) exchange.queue_->NoteDeadline(/*kept=*/true);
  const std::uint8_t flags = frame.head.flags;
  const bool starts = frame.head.kind == FrameKind::kReply;
  if (starts && !frame.payload.empty() && !frame.shared.empty()) {  // a head, and a body apart
    exchange.sink_->OnReply(frame.payload, static_cast<std::uint8_t>(flags & ~base::kEnd));
    if (exchange.done()) return;  // it was cancelled
    ReplySink* sink = end ? exchange.Finish() : exchange.sink_;
    return sink->OnBody(frame.shared, flags);
  }
  ReplySink* sink = end ? exchange.Finish() : exchange.sink_;
  if (starts) {
    sink->OnReply(frame.bytes(), flags);
  } else {
    sink->OnBody(frame.bytes(), flags);
  }
}

void ReplicaLink::OnRefuse(const Frame& frame) {
  auto stream = streams_.extract(frame.head.stream);
  Heard(frame.head.ongoing);
  if (frame.head.aux == static_cast<std::uint16_t>(RefuseReason::kLeaving)) {
    leaving_ = true;
  } else {
    full_ = true;
  }
  if (!stream.empty()) queue_.Requeue(std::move(stream.mapped()));
  queue_.Pump();
  queue_.OnLinkIdle();
}

void ReplicaLink::OnGoAway(std::uint32_t last_admitted) {
  leaving_ = true;
  const auto first = streams_.upper_bound(last_admitted);
  std::vector<std::shared_ptr<Exchange>> back;
  for (auto it = first; it != streams_.end(); ++it) back.push_back(it->second);
  streams_.erase(first, streams_.end());
  for (auto& exchange : back) queue_.Requeue(std::move(exchange));
  queue_.Pump();
  queue_.OnLinkIdle();
}

void ReplicaLink::OnModels(std::string_view payload) {
  auto models = base::DecodeModels(payload);
  if (!models.ok()) {
    base::LogError("replica_models_ignored",
                   {{"replica", route_.id}, {"why", models.status().message()}});
    return;
  }
  models_ = *std::move(models);
  std::ranges::sort(models_);
  keeps_models_ = true;
}

void ReplicaLink::FailStreams(const std::string& why) {
  answered_ = 0;
  for (const auto& [stream, exchange] : std::exchange(streams_, {})) {
    if (ReplySink* sink = exchange->Finish()) {
      sink->OnFailure({.kind = Failure::Kind::kReplicaDied,
                       .message = "The replica '" + route_.id + "' of " +
                                  queue_.route().id.ToString() + " " + why + "."});
    }
  }
  queue_.OnLinkIdle();
}

void ReplicaLink::OnClosed() {
  models_.clear();
  stats_.clear();
  others_ = 0;
  full_ = false;
  // Until the controller says that it is gone, it may come back: an agent under load.
  if (!leaving_) retry_ = loop_.After(retry_delay_, [this] { Connect(); });
  FailStreams("died while it held the request");
  queue_.OnNews();
}

}  // namespace penstock::route
