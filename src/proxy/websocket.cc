#include "proxy/websocket.h"

#include <openssl/asn1.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <wslay/wslay.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "penstock/check.h"

namespace penstock::proxy {
namespace {

using base::WsKind;
using base::WsMessage;

constexpr std::string_view kGuid = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
constexpr std::uint16_t kNoStatus = 1005;  // a close frame without a code
constexpr std::uint16_t kNotUtf8 = 1007;

std::string_view HeaderOf(const HttpHead& head, std::string_view wanted) {
  for (const auto& [name, value] : head.headers) {
    if (name == wanted) return value;
  }
  return {};
}

bool EqualsIgnoringCase(std::string_view text, std::string_view lower) {
  return std::equal(text.begin(), text.end(), lower.begin(), lower.end(),
                    [](char a, char b) { return (a >= 'A' && a <= 'Z' ? a - 'A' + 'a' : a) == b; });
}

bool IsUtf8(std::string_view text) {
  while (!text.empty()) {
    unsigned long ignored = 0;
    const int n = ::UTF8_getc(reinterpret_cast<const unsigned char*>(text.data()),
                              static_cast<int>(text.size()), &ignored);
    if (n <= 0) return false;
    text.remove_prefix(static_cast<std::size_t>(n));
  }
  return true;
}

// What is wrong with the payload of a close frame, as a code to answer; 0 for nothing. wslay
// checks a reason as it arrives, and not when it arrives in pieces.
std::uint16_t MistakeInClose(std::string_view payload) {
  if (payload.size() == 1) return base::kWsProtocolError;  // half a code
  return payload.empty() || IsUtf8(payload.substr(2)) ? 0 : kNotUtf8;
}

}  // namespace

bool IsWebSocketRequest(const HttpHead& head) {
  return head.method == "GET" && EqualsIgnoringCase(HeaderOf(head, "upgrade"), "websocket") &&
         HeaderOf(head, "sec-websocket-version") == "13" &&
         !HeaderOf(head, "sec-websocket-key").empty();
}

std::string WebSocketAccept(std::string_view key) {
  const std::string text = std::string(key) + std::string(kGuid);
  std::array<unsigned char, SHA_DIGEST_LENGTH> digest;
  ::SHA1(reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest.data());
  std::array<unsigned char, 4 * ((SHA_DIGEST_LENGTH + 2) / 3) + 1> base64;
  const int n = ::EVP_EncodeBlock(base64.data(), digest.data(), SHA_DIGEST_LENGTH);
  return {base64.begin(), base64.begin() + n};
}

struct WebSocket::Wslay {
  wslay_event_context_ptr context = nullptr;

  explicit Wslay(WebSocket* self) {
    const wslay_event_callbacks callbacks{.recv_callback = &Receive,
                                          .send_callback = &Transmit,
                                          .genmask_callback = nullptr,
                                          .on_frame_recv_start_callback = nullptr,
                                          .on_frame_recv_chunk_callback = nullptr,
                                          .on_frame_recv_end_callback = nullptr,
                                          .on_msg_recv_callback = &OnMessage};
    PENSTOCK_CHECK(::wslay_event_context_server_init(&context, &callbacks, self) == 0);
    ::wslay_event_config_set_max_recv_msg_length(context, base::kMaxWsMessage);
  }
  ~Wslay() { ::wslay_event_context_free(context); }

  static WebSocket& Self(void* data) { return *static_cast<WebSocket*>(data); }

  static ssize_t Receive(wslay_event_context_ptr context, std::uint8_t* buffer, std::size_t size,
                         int, void* data) {
    std::string_view& input = Self(data).input_;
    if (input.empty()) {
      ::wslay_event_set_error(context, WSLAY_ERR_WOULDBLOCK);
      return -1;
    }
    const std::size_t n = std::min(size, input.size());
    std::memcpy(buffer, input.data(), n);
    input.remove_prefix(n);
    return static_cast<ssize_t>(n);
  }

  static ssize_t Transmit(wslay_event_context_ptr, const std::uint8_t* bytes, std::size_t size, int,
                          void* data) {
    Self(data).to_client_.append(reinterpret_cast<const char*>(bytes), size);
    return static_cast<ssize_t>(size);
  }

  static void OnMessage(wslay_event_context_ptr, const wslay_event_on_msg_recv_arg* arg,
                        void* data) {
    WebSocket& self = Self(data);
    const std::string_view text(reinterpret_cast<const char*>(arg->msg), arg->msg_length);
    WsMessage message{.kind = WsKind::kText, .data = text};
    if (arg->opcode == WSLAY_BINARY_FRAME) {
      message.kind = WsKind::kBinary;
    } else if (arg->opcode == WSLAY_CONNECTION_CLOSE) {
      self.mistake_ = MistakeInClose(text);
      if (self.mistake_ != 0) return;
      message.kind = WsKind::kClose;
      message.code = arg->status_code == 0 ? kNoStatus : arg->status_code;
      message.data = text.substr(std::min<std::size_t>(text.size(), 2));
      if (self.code_ != 0) return;  // the answer to ours
      self.code_ = message.code;
    } else if (arg->opcode != WSLAY_TEXT_FRAME) {
      return;  // pings are answered by wslay
    }
    base::AppendWsMessage(self.to_replica_, message);
  }
};

WebSocket::WebSocket(std::string& to_client, std::string& to_replica)
    : to_client_(to_client), to_replica_(to_replica), wslay_(std::make_unique<Wslay>(this)) {}

WebSocket::~WebSocket() = default;

void WebSocket::FromClient(std::string_view bytes) {
  input_ = bytes;
  const int outcome = ::wslay_event_recv(wslay_->context);
  input_ = {};
  if (outcome == WSLAY_ERR_NOMEM) return Fail(base::kWsServerError);
  if (outcome != 0) return Fail(base::kWsProtocolError);
  if (mistake_ != 0) return Fail(mistake_);
  Drain();
  if (client_closed() && code_ == 0) {  // closed for a mistake: the replica is to know
    code_ = ::wslay_event_get_status_code_sent(wslay_->context);
    base::AppendWsMessage(to_replica_, {.kind = WsKind::kClose, .code = code_});
  }
}

// Most of a client's mistakes wslay answers with a close frame that says which; for some, control
// frames that are too long among them, its close frame has no code. Ours goes instead.
void WebSocket::Fail(std::uint16_t code) {
  if (!closed()) {
    to_client_ += {'\x88', '\x02', static_cast<char>(code >> 8), static_cast<char>(code & 0xff)};
  }
  failed_ = true;
  if (code_ != 0) return;
  code_ = code;
  base::AppendWsMessage(to_replica_, {.kind = WsKind::kClose, .code = code});
}

void WebSocket::FromReplica(std::string_view piece) {
  from_replica_.Feed(piece);
  while (const auto message = from_replica_.Next()) Send(*message);
  if (from_replica_.broken()) Close(base::kWsServerError);
  Drain();
}

void WebSocket::Send(const WsMessage& message) {
  if (message.kind == WsKind::kClose) {
    if (code_ == 0) code_ = message.code;
    ::wslay_event_queue_close(wslay_->context, message.code,
                              reinterpret_cast<const std::uint8_t*>(message.data.data()),
                              message.data.size());
    return;
  }
  const wslay_event_msg out{
      .opcode = static_cast<std::uint8_t>(message.kind == WsKind::kText ? WSLAY_TEXT_FRAME
                                                                        : WSLAY_BINARY_FRAME),
      .msg = reinterpret_cast<const std::uint8_t*>(message.data.data()),
      .msg_length = message.data.size()};
  ::wslay_event_queue_msg(wslay_->context, &out);  // refused after a close: nobody would read it
}

void WebSocket::Close(std::uint16_t code) {
  Send({.kind = WsKind::kClose, .code = code});
  Drain();
}

void WebSocket::Drain() {
  if (::wslay_event_send(wslay_->context) != 0) failed_ = true;
}

bool WebSocket::closed() const {
  return failed_ || ::wslay_event_get_close_sent(wslay_->context) != 0;
}

bool WebSocket::client_closed() const {
  return failed_ || ::wslay_event_get_close_received(wslay_->context) != 0 ||
         ::wslay_event_get_read_enabled(wslay_->context) == 0;
}

}  // namespace penstock::proxy
