#include "proxy/http2_stream.h"

#include <utility>

#include "proxy/http2_connection.h"

namespace penstock::proxy {
void Http2Stream::SendHead(int status, const std::vector<Field>& fields, bool body) {
  connection_.SubmitHead(*this, stream_id_, status, fields, body);
  ended_ = !body;
}

void Http2Stream::SendBody(std::string_view piece) {
  if (ended_ || piece.empty()) return;
  out_ += piece;
  Wake();
}

void Http2Stream::SendEnd(std::vector<std::pair<std::string, std::string>> trailers) {
  if (std::exchange(ended_, true)) return;
  trailers_ = std::move(trailers);
  Wake();
}

void Http2Stream::Wake() {
  if (std::exchange(starved_, false)) connection_.Resume(stream_id_);
  connection_.FlushSoon();
}

void Http2Stream::SendReset(std::uint32_t code) {
  ended_ = true;
  connection_.SubmitReset(stream_id_, code);
}

void Http2Stream::OnSent(std::size_t bytes) {
  taken_ += bytes;
  if (taken_ == out_.size()) {
    out_.clear();
    taken_ = 0;
  } else if (taken_ >= kEnoughUnsent) {
    out_.erase(0, std::exchange(taken_, 0));
  }
  if (out_.size() - taken_ <= kEnoughUnsent) OnRoom();
}

void Http2Stream::Consume(std::size_t bytes) {
  if (bytes > 0) connection_.Consume(stream_id_, bytes);
}

void Http2Stream::Widen() {
  if (!std::exchange(wide_, true)) connection_.Widen(stream_id_);
}

}  // namespace penstock::proxy
