#include "proxy/http2_connection.h"

#include <nghttp2/nghttp2.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include "base/socket.h"
#include "penstock/check.h"
#include "proxy/http_parser.h"
#include "proxy/server.h"

namespace penstock::proxy {
namespace {

// Bytes that are taken out of the session at a time: what waits longer stays in the streams, where
// it holds the replica back.
constexpr std::size_t kOutBatch = 64 << 10;
// Memory that a connection without requests keeps, in bytes.
constexpr std::size_t kWorthKeeping = 16 << 10;
// Of a request's body: what may wait for a replica, and what may be under way to one.
constexpr std::int32_t kNarrowWindow = 65535;
constexpr std::int32_t kWideWindow = 256 << 10;
// Of all bodies of a connection; what arrives is bounded by each stream's own window.
constexpr std::int32_t kConnectionWindow = 1 << 24;
// Frames that wait because the client does not read: then it only wants us to hoard.
constexpr std::size_t kMostQueuedFrames = 10'000;
// Of replies, in bytes; more fails the stream.
constexpr std::size_t kMostReplyHead = 256 << 10;
// Streams that a client may break or take back: as many at once, and as many a second.
constexpr std::uint64_t kResetBurst = 1000;
constexpr std::uint64_t kResetRate = 33;

std::uint8_t* Bytes(std::string_view text) {
  const void* bytes = text.data();
  return const_cast<std::uint8_t*>(static_cast<const std::uint8_t*>(bytes));
}

std::string_view Text(const std::uint8_t* bytes, std::size_t size) {
  const void* raw = bytes;
  return {static_cast<const char*>(raw), size};
}

nghttp2_nv Field(std::string_view name, std::string_view value) {
  return {.name = Bytes(name),
          .value = Bytes(value),
          .namelen = name.size(),
          .valuelen = value.size(),
          .flags = NGHTTP2_NV_FLAG_NONE};
}

std::string_view Trimmed(std::string_view value) {
  const auto from = value.find_first_not_of(" \t");
  if (from == std::string_view::npos) return {};
  return value.substr(from, value.find_last_not_of(" \t") - from + 1);
}

// False for a field that may not be in a message of HTTP/2 (RFC 9113, 8.2): the application's
// mistake must not become an error of the connection.
bool MaySend(std::string_view name, std::string_view value) {
  constexpr std::array<std::string_view, 5> kOfConnections = {
      "connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"};
  if (std::ranges::find(kOfConnections, name) != kOfConnections.end()) return false;
  return !name.empty() && ::nghttp2_check_header_name(Bytes(name), name.size()) != 0 &&
         name.front() != ':' && ::nghttp2_check_header_value(Bytes(value), value.size()) != 0;
}

}  // namespace

// nghttp2's callbacks. None of them may call back into sending or receiving.
struct Http2Connection::Wire {
  static Http2Connection& Of(void* data) { return *static_cast<Http2Connection*>(data); }

  static int OnBeginHeaders(nghttp2_session*, const nghttp2_frame* frame, void* data) {
    if (frame->headers.cat != NGHTTP2_HCAT_REQUEST) return 0;
    Http2Connection& self = Of(data);
    const std::int32_t id = frame->hd.stream_id;
    if (self.streams_.empty()) self.server_.OnBusy(self);
    self.streams_.emplace(id, self.make_stream_(self, id));
    return 0;
  }

  static int OnHeader(nghttp2_session*, const nghttp2_frame* frame, const std::uint8_t* name,
                      std::size_t name_size, const std::uint8_t* value, std::size_t value_size,
                      std::uint8_t, void* data) {
    if (frame->headers.cat != NGHTTP2_HCAT_REQUEST) return 0;  // trailers are dropped
    if (Http2Stream* stream = Of(data).Find(frame->hd.stream_id)) {
      stream->head().Add(Text(name, name_size), Text(value, value_size));
    }
    return 0;
  }

  static int OnFrame(nghttp2_session*, const nghttp2_frame* frame, void* data) {
    Http2Connection& self = Of(data);
    const std::int32_t id = frame->hd.stream_id;
    Http2Stream* stream = self.Find(id);
    if (stream == nullptr) return 0;
    const bool ended = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
    if (frame->hd.type == NGHTTP2_HEADERS && frame->headers.cat == NGHTTP2_HCAT_REQUEST) {
      if (stream->head().too_large()) {
        stream->OnHeadTooLarge();
        return 0;
      }
      if (!ended) self.fresh_.push_back(id);
      stream->OnHead(stream->head().Finish(ended), ended);
    } else if (ended && (frame->hd.type == NGHTTP2_DATA || frame->hd.type == NGHTTP2_HEADERS)) {
      stream->OnBodyEnd();
    }
    return 0;
  }

  static int OnData(nghttp2_session* session, std::uint8_t, std::int32_t id,
                    const std::uint8_t* bytes, std::size_t size, void* data) {
    ::nghttp2_session_consume_connection(session, size);
    if (Http2Stream* stream = Of(data).Find(id)) stream->OnBodyPiece(Text(bytes, size));
    return 0;
  }

  static int OnStreamClose(nghttp2_session*, std::int32_t id, std::uint32_t, void* data) {
    Of(data).Drop(id);
    return 0;
  }

  // Whoever is answered before the request's end need not send the rest.
  static int OnFrameSent(nghttp2_session* session, const nghttp2_frame* frame, void* data) {
    Http2Connection& self = Of(data);
    const std::int32_t id = frame->hd.stream_id;
    if (frame->hd.type == NGHTTP2_RST_STREAM) {
      const std::uint32_t code = frame->rst_stream.error_code;
      const bool ours = code == NGHTTP2_NO_ERROR || code == NGHTTP2_INTERNAL_ERROR;
      if (!ours && !self.mistakes_.Take(self.server_.loop().Now())) {
        ::nghttp2_session_terminate_session(session, NGHTTP2_ENHANCE_YOUR_CALM);
      }
      return 0;
    }
    const bool reply = frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA;
    if (reply && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0 &&
        ::nghttp2_session_get_stream_remote_close(session, id) == 0) {
      ::nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, id, NGHTTP2_NO_ERROR);
    }
    return 0;
  }

  // A head that is too large to be sent: without this the stream would wait for ever.
  static int OnFrameNotSent(nghttp2_session* session, const nghttp2_frame* frame, int, void*) {
    if (frame->hd.type != NGHTTP2_HEADERS) return 0;
    ::nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, frame->hd.stream_id,
                                NGHTTP2_INTERNAL_ERROR);
    return 0;
  }

  static ssize_t ReadBody(nghttp2_session* session, std::int32_t id, std::uint8_t*,
                          std::size_t size, std::uint32_t* flags, nghttp2_data_source* source,
                          void*) {
    auto& stream = *static_cast<Http2Stream*>(source->ptr);
    const std::size_t n = std::min(size, stream.pending().size());
    if (n == 0 && !stream.ended()) {
      stream.SetStarved();
      return NGHTTP2_ERR_DEFERRED;
    }
    *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
    if (n < stream.pending().size() || !stream.ended()) return static_cast<ssize_t>(n);
    *flags |= NGHTTP2_DATA_FLAG_EOF;
    if (!stream.trailers().empty()) {
      *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
      std::vector<nghttp2_nv> fields;
      for (const auto& [name, value] : stream.trailers()) {
        if (MaySend(name, value)) fields.push_back(Field(name, Trimmed(value)));
      }
      ::nghttp2_submit_trailer(session, id, fields.data(), fields.size());
    }
    return static_cast<ssize_t>(n);
  }

  // Appends a DATA frame to what is to be sent: its head has been written, the body is ours.
  static int SendBody(nghttp2_session*, nghttp2_frame* frame, const std::uint8_t* head,
                      std::size_t size, nghttp2_data_source* source, void* data) {
    constexpr std::size_t kFrameHead = 9;
    PENSTOCK_CHECK(frame->data.padlen == 0);  // we ask for none
    auto& stream = *static_cast<Http2Stream*>(source->ptr);
    std::string& out = Of(data).out_;
    out += Text(head, kFrameHead);
    out += stream.pending().substr(0, size);
    stream.OnSent(size);
    return 0;
  }

  static nghttp2_session* Open(Http2Connection& connection, std::uint32_t max_streams) {
    nghttp2_session_callbacks* callbacks = nullptr;
    nghttp2_option* option = nullptr;
    nghttp2_session* session = nullptr;
    PENSTOCK_CHECK(::nghttp2_session_callbacks_new(&callbacks) == 0);
    PENSTOCK_CHECK(::nghttp2_option_new(&option) == 0);
    ::nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, &OnBeginHeaders);
    ::nghttp2_session_callbacks_set_on_header_callback(callbacks, &OnHeader);
    ::nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, &OnFrame);
    ::nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, &OnData);
    ::nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, &OnStreamClose);
    ::nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, &OnFrameSent);
    ::nghttp2_session_callbacks_set_on_frame_not_send_callback(callbacks, &OnFrameNotSent);
    ::nghttp2_session_callbacks_set_send_data_callback(callbacks, &SendBody);
    ::nghttp2_option_set_no_auto_window_update(option, 1);
    ::nghttp2_option_set_no_closed_streams(option, 1);
    ::nghttp2_option_set_max_send_header_block_length(option, kMostReplyHead);
    ::nghttp2_option_set_stream_reset_rate_limit(option, kResetBurst, kResetRate);
    PENSTOCK_CHECK(::nghttp2_session_server_new2(&session, callbacks, &connection, option) == 0);
    ::nghttp2_option_del(option);
    ::nghttp2_session_callbacks_del(callbacks);
    const std::array<nghttp2_settings_entry, 3> settings{
        {{NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, max_streams},
         {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, kNarrowWindow},
         {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, HttpParser::kMaxHead}}};
    ::nghttp2_submit_settings(session, NGHTTP2_FLAG_NONE, settings.data(), settings.size());
    ::nghttp2_session_set_local_window_size(session, NGHTTP2_FLAG_NONE, 0, kConnectionWindow);
    return session;
  }
};

Http2Connection::Http2Connection(Server& server, Transport socket, MakeStream make_stream,
                                 std::uint32_t max_streams)
    : server_(server),
      socket_(std::move(socket)),
      client_(base::PeerAddress(socket_.socket())),
      make_stream_(std::move(make_stream)),
      session_(Wire::Open(*this, max_streams)),
      mistakes_(static_cast<double>(kResetBurst), static_cast<double>(kResetRate)) {
  server_.loop().Watch(socket_.get(), EPOLLIN, *this);
  server_.OnIdle(*this);
  FlushSoon();
}

Http2Connection::~Http2Connection() {
  Close();
  ::nghttp2_session_del(session_);
}

void Http2Connection::Close() {
  if (!socket_ || std::exchange(closing_, true)) return;
  const std::int32_t last = ::nghttp2_session_get_last_proc_stream_id(session_);
  ::nghttp2_submit_goaway(session_, NGHTTP2_FLAG_NONE, last, NGHTTP2_NO_ERROR, nullptr, 0);
  if (!want_write_) Flush();
  if (written_ == out_.size()) socket_.SayGoodbye();
  StopWaiting();
  server_.loop().ForgetTurnEnd(*this);
  server_.loop().Unwatch(socket_.get(), *this);
  socket_.Reset();
  for (const auto& [id, stream] : streams_) stream->OnLeft();
  server_.Drop(*this);
}

Http2Stream* Http2Connection::Find(std::int32_t id) const {
  const auto found = streams_.find(id);
  return found == streams_.end() ? nullptr : found->second.get();
}

void Http2Connection::Drop(std::int32_t id) {
  const auto stream = streams_.extract(id);
  if (stream.empty()) return;
  stream.mapped()->OnLeft();
  if (streams_.empty() && socket_) server_.OnIdle(*this);
}

// ---- receiving ----------------------------------------------------------------------------

void Http2Connection::OnEvents(std::uint32_t events) {
  if ((events & EPOLLOUT) != 0) Flush();
  if (socket_ && (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) Receive();
}

void Http2Connection::Receive() {
  auto& scratch = server_.scratch();
  const auto n = socket_.Receive(scratch.data(), scratch.size());
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (n <= 0) return Close();
  Feed({scratch.data(), static_cast<std::size_t>(n)});
}

void Http2Connection::Feed(std::string_view bytes) {
  fresh_.clear();
  const auto n = ::nghttp2_session_mem_recv(session_, Bytes(bytes), bytes.size());
  for (const std::int32_t id : fresh_) {
    if (Http2Stream* stream = Find(id)) stream->OnBatchEnd();
  }
  if (n < 0 || ::nghttp2_session_get_outbound_queue_size(session_) > kMostQueuedFrames) {
    return Close();
  }
  FlushSoon();
}

void Http2Connection::Consume(std::int32_t id, std::size_t bytes) {
  ::nghttp2_session_consume_stream(session_, id, bytes);
  FlushSoon();
}

void Http2Connection::Widen(std::int32_t id) {
  ::nghttp2_session_set_local_window_size(session_, NGHTTP2_FLAG_NONE, id, kWideWindow);
}

// ---- replies ------------------------------------------------------------------------------

void Http2Connection::SubmitHead(Http2Stream& stream, std::int32_t id, int status,
                                 const std::vector<Http2Stream::Field>& fields, bool body) {
  const std::string code = std::to_string(status);
  std::vector<nghttp2_nv> all = {Field(":status", code)};
  for (const auto& [name, value] : fields) {
    if (MaySend(name, value)) all.push_back(Field(name, Trimmed(value)));
  }
  nghttp2_data_provider provider{.source = {.ptr = &stream}, .read_callback = &Wire::ReadBody};
  ::nghttp2_submit_response(session_, id, all.data(), all.size(), body ? &provider : nullptr);
  FlushSoon();
}

void Http2Connection::SubmitContinue(std::int32_t id) {
  const nghttp2_nv status = Field(":status", "100");
  ::nghttp2_submit_headers(session_, NGHTTP2_FLAG_NONE, id, nullptr, &status, 1, nullptr);
  FlushSoon();
}

void Http2Connection::SubmitReset(std::int32_t id, std::uint32_t code) {
  ::nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, id, code);
  FlushSoon();
}

void Http2Connection::Resume(std::int32_t id) { ::nghttp2_session_resume_data(session_, id); }

void Http2Connection::FlushSoon() {
  if (socket_) server_.loop().AtTurnEnd(*this);
}

// ---- sending ------------------------------------------------------------------------------

void Http2Connection::OnTurnEnd() {
  if (socket_ && !want_write_) Flush();
}

// Takes a batch of frames out of the session.
void Http2Connection::Fill() {
  while (out_.size() - written_ < kOutBatch) {
    const std::uint8_t* bytes = nullptr;
    const auto n = ::nghttp2_session_mem_send(session_, &bytes);
    if (n <= 0) return;  // nothing, or no memory
    out_ += Text(bytes, static_cast<std::size_t>(n));
  }
}

void Http2Connection::Flush() {
  while (true) {
    Fill();
    if (written_ == out_.size()) break;
    const auto n = socket_.Send(std::string_view(out_).substr(written_));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) {
      if (!std::exchange(want_write_, true)) {
        server_.loop().Rewatch(socket_.get(), EPOLLIN | EPOLLOUT, *this);
      }
      return;
    }
    if (n < 0) return Close();
    written_ += static_cast<std::size_t>(n);
    if (written_ < out_.size()) continue;
    out_.clear();
    written_ = 0;
    if (streams_.empty() && out_.capacity() > kWorthKeeping) out_ = std::string();
  }
  if (std::exchange(want_write_, false)) server_.loop().Rewatch(socket_.get(), EPOLLIN, *this);
  const bool over =
      ::nghttp2_session_want_read(session_) == 0 && ::nghttp2_session_want_write(session_) == 0;
  if (over) Close();
}

}  // namespace penstock::proxy
