#include "engine/local/zygote.h"

#include <signal.h>
#include <sys/epoll.h>

#include <utility>

#include "base/file.h"
#include "base/log.h"
#include "base/socket.h"

namespace penstock::engine::local {
namespace {

constexpr int kSocketDescriptor = 3;
// Its start is in the first answer, on a machine that may be busy.
constexpr Duration kPatience = std::chrono::seconds(60);

// Folders, an empty one, variables; each ends with a zero byte. Not JSON: a variable is bytes.
std::string Text(const ReplicaEnvironment& environment) {
  std::string text;
  for (const std::string& folder : environment.import_folders) text += folder + '\0';
  text += '\0';
  for (const auto& [name, value] : environment.variables) text += name + '=' + value + '\0';
  return text;
}

}  // namespace

Result<std::shared_ptr<Zygote>> Zygote::Start(base::Loop& loop, SpawnOptions options,
                                              Callbacks callbacks) {
  auto pair = base::MakePacketPair();
  if (!pair.ok()) return pair.status();
  options.descriptors.emplace_back(pair->theirs.get(), kSocketDescriptor);
  auto zygote = std::make_shared<Zygote>(loop, std::move(pair->ours), std::move(callbacks));
  auto child = Child::Spawn(loop, options,
                            [raw = zygote.get()](const Exit& exit) { raw->OnExit(exit.how); });
  if (!child.ok()) return child.status();
  zygote->child_ = *std::move(child);
  return zygote;
}

Zygote::Zygote(base::Loop& loop, base::UniqueFd socket, Callbacks callbacks)
    : loop_(loop), socket_(std::move(socket)), callbacks_(std::move(callbacks)) {
  loop_.Watch(socket_.get(), EPOLLIN, *this);
}

Zygote::~Zygote() {
  if (patience_ != 0) loop_.Cancel(patience_);
  if (socket_) loop_.Unwatch(socket_.get(), *this);
}

void Zygote::Fork(ForkRequest request, OnForked done) {
  waiting_.push_back({std::move(request), std::move(done)});
  if (waiting_.size() == 1) AskNext();
}

void Zygote::AskNext() {
  asked_ = loop_.clock().Now();
  patience_ = loop_.After(kPatience, [this] {
    patience_ = 0;
    base::LogError("zygote_does_not_answer", {{"pid", std::to_string(pid())}});
    Kill();
  });
  if (const Status bad = Ask(waiting_.front().request); !bad.ok()) {
    base::LogError("zygote_not_asked", {{"why", bad.message()}});
    Kill();  // its end is the answer
  }
  waiting_.front().request = {};  // what was sent lives on in the packet
}

Status Zygote::Ask(const ForkRequest& request) {
  // In a file, because an environment may be larger than a packet.
  const auto file = base::MemoryFile(Text(request.environment));
  if (!file.ok()) return file.status();
  return base::SendPacket(socket_, "fork",
                          {file->get(), request.control.get(), request.log.get(),
                           request.folder.get(), request.page.get()});
}

void Zygote::OnEvents(std::uint32_t) {
  while (Receive()) {
  }
}

// False when there was nothing to receive.
bool Zygote::Receive() {
  if (!socket_) return false;
  const auto packet = base::ReceivePacket(socket_);
  if (!packet) return false;
  const auto answer =
      ForkAnswerFrom(nlohmann::json::parse(*packet, nullptr, /*allow_exceptions=*/false));
  if (packet->empty() || !answer.ok() || waiting_.empty()) {
    if (!packet->empty()) base::LogError("zygote_makes_no_sense", {{"said", *packet}});
    loop_.Unwatch(socket_.get(), *this);
    Kill();  // before it sees its socket closed: it would end by itself, as if nothing were wrong
    socket_.Reset();
    return false;
  }
  if (!answer->why_not.empty()) {
    ending_ = ending_ || answer->ends;
    Answer(Status(Code::kFailedPrecondition, answer->why_not));
  } else {
    proved_ = true;
    Answer(answer->pid);
  }
  return true;
}

void Zygote::Answer(const Result<int>& pid) {
  if (patience_ != 0) loop_.Cancel(std::exchange(patience_, 0));
  const OnForked done = std::move(waiting_.front().done);
  const TimePoint asked = asked_;
  waiting_.pop_front();
  if (!waiting_.empty() && running()) AskNext();
  done(pid, asked);
  callbacks_.answered();
}

void Zygote::Kill() {
  ending_ = true;
  if (child_) child_->Signal(SIGKILL);
}

void Zygote::OnExit(const std::string& how) {
  ending_ = true;
  OnEvents(0);  // an answer that it still gave
  while (!waiting_.empty()) Answer(Status(Code::kUnavailable, "its zygote ended with " + how));
  callbacks_.gone(how);
}

}  // namespace penstock::engine::local
