// A peer of the control protocol that sends anything: calls are answered or the connection ends.
#include "base/peer.h"

#include <sys/socket.h>

#include <memory>
#include <string>

#include "base/socket.h"
#include "support/fuzz.h"

namespace penstock::base {
namespace {

// Takes calls and notices as servers do: by fields that may be missing or of another type.
class Server {
 public:
  explicit Server(Loop& loop) : pair_(*MakeSocketPair()) {
    peer_ = Peer::Open(
        loop, std::move(pair_.theirs),
        {.on_call =
             [](const std::string& method, const Message& params, const Peer::Respond& respond) {
               respond(Message{{{"echo", method + params.json.value("field", "")}}, ""});
             },
         .on_notice = [](const std::string&,
                         const Message& params) { params.json.value("field", ""); },
         .on_closed = [this](const std::string&) { ++closed; }});
    peer_->Call("ask", {}, [this](const Result<Message>&) { ++answers; });
  }

  const UniqueFd& socket() const { return pair_.ours; }
  Peer& peer() { return *peer_; }

  int answers = 0;
  int closed = 0;

 private:
  SocketPair pair_;
  std::shared_ptr<Peer> peer_;
};

int CountFrames(std::string_view bytes, std::uint16_t aux) {
  int count = 0;
  for (auto frame = ParseFrame(bytes, Peer::kMaxMessage); frame.state == ParsedFrame::State::kFrame;
       frame = ParseFrame(bytes, Peer::kMaxMessage)) {
    PENSTOCK_CHECK(DecodeMessage(frame.frame.payload).ok());
    count += frame.frame.head.aux == aux ? 1 : 0;
    bytes.remove_prefix(frame.size);
  }
  return count;
}

std::string Received(const UniqueFd& socket) {
  std::string text;
  char bytes[65536];
  while (true) {
    const auto n = ::recv(socket.get(), bytes, sizeof bytes, MSG_DONTWAIT);
    if (n <= 0) return text;
    text.append(bytes, static_cast<std::size_t>(n));
  }
}

}  // namespace
}  // namespace penstock::base

PENSTOCK_FUZZ(input) {
  using namespace penstock::base;
  constexpr std::uint16_t kCall = 1;
  constexpr std::uint16_t kAnswer = 2;
  static const auto loop = *Loop::Create();
  Server server(*loop);
  int calls = 0;
  // Frames whose lengths are right, so that what is in them is reached.
  while (!input.rest().empty()) {
    const std::uint16_t aux = kCall + input.Byte() % 3;
    calls += aux == kCall ? 1 : 0;
    const std::uint32_t stream = input.Byte() % 4;
    const std::string_view payload = input.Take(input.Byte());
    std::string bytes;
    AppendHead(bytes, {.length = static_cast<std::uint32_t>(payload.size()),
                       .kind = FrameKind::kControl,
                       .aux = aux,
                       .stream = stream});
    bytes += payload;
    ::send(server.socket().get(), bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  }
  for (int i = 0; i < 3; ++i) loop->RunOnce(penstock::Duration::zero());
  const std::string received = Received(server.socket());
  PENSTOCK_CHECK(server.closed <= 1 && server.peer().open() == (server.closed == 0));
  // Each call is answered once; ours, once, also when the connection ends first.
  PENSTOCK_CHECK(server.closed == 1 || CountFrames(received, kAnswer) == calls);
  if (server.peer().open()) server.peer().Close();
  PENSTOCK_CHECK(server.answers == 1);
}
