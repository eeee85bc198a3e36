#include "proxy/http_stream.h"

#include <nghttp2/nghttp2.h>

#include <algorithm>
#include <charconv>
#include <vector>

#include "proxy/http2_connection.h"
#include "proxy/http_response.h"
#include "proxy/server.h"

namespace penstock::proxy {
namespace {

constexpr int kHeadTooLarge = 431;
constexpr int kInternalError = 500;

// The reply's status, where HTTP/2 can say it: 101 it cannot.
int FinalStatus(int status) { return status >= 200 && status <= 999 ? status : kInternalError; }

}  // namespace

const std::string& HttpStream::address() const { return connection_.client(); }

bool HttpStream::secure() const { return connection_.secure(); }

void HttpStream::OnHead(const HttpHead& head, bool ended) {
  head_request_ = head.method == "HEAD";
  call_.Begin(head);
  if (ended && call_.open()) return call_.OnBodyEnd();
  if (head.expects_continue && call_.receiving() && !call_.refused()) {
    connection_.SubmitContinue(stream_id_);
  }
}

void HttpStream::OnHeadTooLarge() { call_.BeginUnreadable(Unreadable(kHeadTooLarge)); }

void HttpStream::OnBodyPiece(std::string_view piece) {
  call_.open() ? call_.OnBodyPiece(piece) : Consume(piece.size());
}

void HttpStream::OnBodyEnd() {
  if (call_.open()) call_.OnBodyEnd();
}

// What came in one piece goes on in one piece; the rest of a larger body follows.
void HttpStream::OnBatchEnd() {
  if (call_.receiving() && !call_.refused()) call_.Forward();
}

void HttpStream::OnLeft() {
  call_.Drop();
  if (call_.replying() && !has_body_) return call_.Finish();  // the client has all it asked for
  call_.NoteLeft();
}

void HttpStream::OnBodyMoved(std::size_t bytes) {
  if (call_.under_way()) Widen();
  Consume(bytes);
}

void HttpStream::OnReplyHead(const base::ReplyHead& head, std::optional<std::size_t> size) {
  std::vector<Field> fields;
  bool date = false;
  bool server = false;
  bool request_id = false;
  for (const auto& [name, value] : head.headers) {
    if (name == "content-length") {
      std::uint64_t length = 0;
      std::from_chars(value.data(), value.data() + value.size(), length);
      promised_ = length;
    }
    date = date || name == "date";
    server = server || name == "server";
    request_id = request_id || name == "x-request-id";
    fields.emplace_back(name, value);
  }
  if (!date) fields.emplace_back("date", server_.Date());
  if (!server) fields.emplace_back("server", "penstock");
  if (!request_id && !call_.id().empty()) fields.emplace_back("x-request-id", call_.id());
  const int status = FinalStatus(head.status);
  std::string length;
  if (size && !promised_ && AllowsBody(status)) {
    length = std::to_string(*size);
    fields.emplace_back("content-length", length);
  }
  has_body_ = !head_request_ && AllowsBody(status) && size != std::size_t{0};
  SendHead(status, fields, has_body_);
}

void HttpStream::OnReplyBody(std::string_view piece, bool end) {
  if (has_body_) {
    // More than was announced would be an error of the protocol.
    if (promised_) {
      piece = piece.substr(
          0, static_cast<std::size_t>(std::min<std::uint64_t>(piece.size(), *promised_ - sent_)));
    }
    SendBody(piece);
    sent_ += piece.size();
  } else {
    call_.Grant();  // it goes nowhere
  }
  if (!end) return;
  if (has_body_ && promised_ && sent_ < *promised_) {
    SendReset(NGHTTP2_INTERNAL_ERROR);
  } else {
    SendEnd();
  }
  call_.Finish();
}

void HttpStream::OnReplyBroken() {
  call_.Drop();
  call_.Finish();
  SendReset(NGHTTP2_INTERNAL_ERROR);
}

}  // namespace penstock::proxy
