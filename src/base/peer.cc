#include "base/peer.h"

#include <utility>

namespace penstock::base {
namespace {

// FrameHead::aux of a kControl frame. `stream` is the call's id, zero for a notice.
constexpr std::uint16_t kCall = 1;
constexpr std::uint16_t kAnswer = 2;
constexpr std::uint16_t kNotice = 3;

FrameHead ControlHead(std::uint16_t what, std::uint32_t id) {
  return {.kind = FrameKind::kControl, .aux = what, .stream = id};
}

Message Wrap(const std::string& method, Message params) {
  return {{{"method", method}, {"params", std::move(params.json)}}, std::move(params.blob)};
}

Result<Message> Unwrap(Message answer) {
  if (const auto error = answer.json.find("error"); error != answer.json.end()) {
    return Status(CodeFromName(error->value("code", "")), error->value("message", ""));
  }
  return Message{std::move(answer.json["result"]), std::move(answer.blob)};
}

}  // namespace

std::shared_ptr<Peer> Peer::Open(Loop& loop, UniqueFd socket, Callbacks callbacks) {
  auto peer = std::make_shared<Peer>(Key(), std::move(callbacks));
  // The connection holds no owning reference: whoever opened the peer keeps it.
  std::weak_ptr<Peer> weak = peer;
  peer->connection_ = Connection::Open(loop, std::move(socket), kMaxMessage,
                                       {.on_frame =
                                            [weak](const Frame& frame) {
                                              if (const auto self = weak.lock())
                                                self->OnFrame(frame);
                                            },
                                        .on_closed =
                                            [weak](const std::string& why) {
                                              if (const auto self = weak.lock())
                                                self->OnClosed(why);
                                            }});
  return peer;
}

void Peer::Call(const std::string& method, Message params, OnReply on_reply) {
  if (!open()) {
    on_reply(Status(Code::kUnavailable, method + ": the connection has ended"));
    return;
  }
  const std::uint32_t id = next_call_++;
  calls_.emplace(id, std::move(on_reply));
  connection_->Send(ControlHead(kCall, id), EncodeMessage(Wrap(method, std::move(params))));
}

void Peer::Notify(const std::string& method, Message params) {
  if (!open()) return;
  connection_->Send(ControlHead(kNotice, 0), EncodeMessage(Wrap(method, std::move(params))));
}

void Peer::Answer(std::uint32_t id, const Result<Message>& answer) {
  if (!open()) return;
  Message message;
  if (answer.ok()) {
    message = {{{"result", answer->json}}, answer->blob};
  } else {
    message.json = {
        {"error",
         {{"code", CodeName(answer.status().code())}, {"message", answer.status().message()}}}};
  }
  connection_->Send(ControlHead(kAnswer, id), EncodeMessage(message));
}

void Peer::OnFrame(const Frame& frame) {
  auto message = frame.head.kind == FrameKind::kControl
                     ? DecodeMessage(frame.payload)
                     : Result<Message>(InvalidArgument("not a control frame"));
  if (!message.ok()) return Break(message.status().message());
  if (!message->json.is_object()) return Break("control message is not an object");
  try {
    Handle(frame.head, *std::move(message));
  } catch (const Json::exception& error) {
    if (frame.head.aux == kCall) return Answer(frame.head.stream, InvalidArgument(error.what()));
    Break(std::string("control message: ") + error.what());
  }
}

void Peer::Handle(const FrameHead& head, Message message) {
  if (head.aux == kAnswer) {
    const auto answer = Unwrap(std::move(message));
    auto call = calls_.extract(head.stream);
    if (!call.empty()) call.mapped()(answer);
    return;
  }
  const std::string method = message.json.value("method", "");
  Message params{std::move(message.json["params"]), std::move(message.blob)};
  if (head.aux == kNotice) {
    if (callbacks_.on_notice) callbacks_.on_notice(method, std::move(params));
    return;
  }
  const std::uint32_t id = head.stream;
  const auto respond = [weak = weak_from_this(), id](const Result<Message>& answer) {
    if (const auto self = weak.lock()) self->Answer(id, answer);
  };
  if (callbacks_.on_call) {
    callbacks_.on_call(method, std::move(params), respond);
  } else {
    respond(Status(Code::kUnimplemented, "this peer takes no calls"));
  }
}

void Peer::Break(const std::string& why) {
  if (!open()) return;
  connection_->Close();
  OnClosed(why);
}

void Peer::OnClosed(const std::string& why) {
  const auto self = shared_from_this();
  FailCalls(why);
  if (callbacks_.on_closed) callbacks_.on_closed(why);
}

void Peer::FailCalls(const std::string& why) {
  for (auto& [id, on_reply] : std::exchange(calls_, {})) {
    on_reply(Status(Code::kUnavailable, why));
  }
}

void Peer::Close() {
  if (!open()) return;
  connection_->Close();
  FailCalls("the connection was closed");
}

}  // namespace penstock::base
