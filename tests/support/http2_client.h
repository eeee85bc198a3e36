// A client of HTTP/2 on nghttp2, over one TCP connection. Nothing here waits: the test turns the
// loop, and calls Turn.
#pragma once

#include <gtest/gtest.h>
#include <nghttp2/nghttp2.h>

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "support/http_client.h"

namespace penstock::testing_support {

class Http2Client {
 public:
  using Fields = std::vector<std::pair<std::string, std::string>>;

  // What a stream got.
  struct Reply {
    std::map<std::string, std::string> head;
    std::map<std::string, std::string> trailers;
    int informational = 0;  // heads before the final one
    std::string body;
    bool closed = false;
    std::uint32_t error = 0;  // it was closed with
  };

  // `window`: bytes of body that may come on a stream before the test reads them (Consume); absent:
  // as many as it likes.
  explicit Http2Client(int port, std::optional<std::int32_t> window = {}) : connection_(port) {
    nghttp2_session_callbacks* callbacks = nullptr;
    nghttp2_option* option = nullptr;
    ::nghttp2_session_callbacks_new(&callbacks);
    ::nghttp2_option_new(&option);
    ::nghttp2_option_set_no_auto_window_update(option, window ? 1 : 0);
    ::nghttp2_session_callbacks_set_on_header_callback(callbacks, &OnHeader);
    ::nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, &OnData);
    ::nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, &OnFrame);
    ::nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, &OnClose);
    EXPECT_EQ(::nghttp2_session_client_new2(&session_, callbacks, this, option), 0);
    ::nghttp2_option_del(option);
    ::nghttp2_session_callbacks_del(callbacks);
    std::vector<nghttp2_settings_entry> settings;
    if (window) {
      settings.push_back(
          {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, static_cast<std::uint32_t>(*window)});
    }
    ::nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, settings.data(), settings.size());
  }
  ~Http2Client() { ::nghttp2_session_del(session_); }

  Http2Client(const Http2Client&) = delete;
  Http2Client& operator=(const Http2Client&) = delete;

  // Sends a request; its body follows with Send. Returns its stream; negative when the server has
  // said farewell.
  std::int32_t Request(const std::string& method, const std::string& path, Fields fields = {},
                       bool body = false) {
    fields.insert(
        fields.begin(),
        {{":method", method}, {":scheme", "http"}, {":authority", "host"}, {":path", path}});
    std::vector<nghttp2_nv> all;
    for (auto& [name, value] : fields) all.push_back(Field(name, value));
    nghttp2_data_provider provider{.source = {.ptr = this}, .read_callback = &ReadBody};
    return ::nghttp2_submit_request(session_, nullptr, all.data(), all.size(),
                                    body ? &provider : nullptr, nullptr);
  }

  void Send(std::int32_t id, std::string_view piece, bool end = false) {
    Outgoing& out = out_[id];
    out.bytes += piece;
    out.ended = end;
    ::nghttp2_session_resume_data(session_, id);
  }

  void SendTrailers(std::int32_t id, Fields trailers) {
    out_[id].trailers = std::move(trailers);
    Send(id, "", /*end=*/true);
  }

  void Reset(std::int32_t id) {
    ::nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, id, NGHTTP2_CANCEL);
  }

  // The test has read `bytes` of a body: the server may send as many again.
  void Consume(std::int32_t id, std::size_t bytes) {
    ::nghttp2_session_consume_stream(session_, id, bytes);
  }

  // Sends and receives what there is.
  void Turn() {
    const std::uint8_t* bytes = nullptr;
    for (auto n = ::nghttp2_session_mem_send(session_, &bytes); n > 0;
         n = ::nghttp2_session_mem_send(session_, &bytes)) {
      const void* raw = bytes;
      connection_.Send({static_cast<const char*>(raw), static_cast<std::size_t>(n)});
    }
    while (connection_.Read()) {
    }
    const void* raw = connection_.text.data();
    EXPECT_GE(::nghttp2_session_mem_recv(session_, static_cast<const std::uint8_t*>(raw),
                                         connection_.text.size()),
              0);
    connection_.text.clear();
  }

  Reply& reply(std::int32_t id) { return replies_[id]; }
  bool closed() const { return connection_.closed; }
  std::optional<std::uint32_t> goaway() const { return goaway_; }
  // Bytes of body that the server lets us send on a stream.
  std::int32_t window(std::int32_t id) {
    return ::nghttp2_session_get_stream_remote_window_size(session_, id);
  }
  std::size_t unsent(std::int32_t id) { return out_[id].bytes.size(); }
  std::uint32_t remote_setting(nghttp2_settings_id id) {
    return ::nghttp2_session_get_remote_settings(session_, id);
  }
  void CloseSocket() { connection_.Close(); }

 private:
  struct Outgoing {
    std::string bytes;
    Fields trailers;
    bool ended = false;
  };

  static Http2Client& Of(void* data) { return *static_cast<Http2Client*>(data); }

  static std::uint8_t* Bytes(std::string& text) {
    void* raw = text.data();
    return static_cast<std::uint8_t*>(raw);
  }

  static nghttp2_nv Field(std::string& name, std::string& value) {
    return {Bytes(name), Bytes(value), name.size(), value.size(), NGHTTP2_NV_FLAG_NONE};
  }

  static int OnHeader(nghttp2_session*, const nghttp2_frame* frame, const std::uint8_t* name,
                      std::size_t name_size, const std::uint8_t* value, std::size_t value_size,
                      std::uint8_t, void* data) {
    Reply& reply = Of(data).replies_[frame->hd.stream_id];
    const std::string key(name, name + name_size);
    const std::string text(value, value + value_size);
    if (key == ":status" && text.front() == '1') ++reply.informational;
    const bool trailer = frame->headers.cat == NGHTTP2_HCAT_HEADERS;
    (trailer ? reply.trailers : reply.head)[key] = text;
    return 0;
  }

  static int OnData(nghttp2_session* session, std::uint8_t, std::int32_t id,
                    const std::uint8_t* bytes, std::size_t size, void* data) {
    const void* raw = bytes;
    Of(data).replies_[id].body.append(static_cast<const char*>(raw), size);
    ::nghttp2_session_consume_connection(session, size);
    return 0;
  }

  static int OnFrame(nghttp2_session*, const nghttp2_frame* frame, void* data) {
    if (frame->hd.type == NGHTTP2_GOAWAY) Of(data).goaway_ = frame->goaway.error_code;
    return 0;
  }

  static int OnClose(nghttp2_session*, std::int32_t id, std::uint32_t error, void* data) {
    Reply& reply = Of(data).replies_[id];
    reply.closed = true;
    reply.error = error;
    return 0;
  }

  static ssize_t ReadBody(nghttp2_session* session, std::int32_t id, std::uint8_t* to,
                          std::size_t size, std::uint32_t* flags, nghttp2_data_source* source,
                          void*) {
    Outgoing& out = Of(source->ptr).out_[id];
    const std::size_t n = std::min(size, out.bytes.size());
    if (n == 0 && !out.ended) return NGHTTP2_ERR_DEFERRED;
    std::copy_n(out.bytes.begin(), n, to);
    out.bytes.erase(0, n);
    if (!out.ended || !out.bytes.empty()) return static_cast<ssize_t>(n);
    *flags |= NGHTTP2_DATA_FLAG_EOF;
    if (!out.trailers.empty()) {
      *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
      std::vector<nghttp2_nv> all;
      for (auto& [name, value] : out.trailers) all.push_back(Field(name, value));
      ::nghttp2_submit_trailer(session, id, all.data(), all.size());
    }
    return static_cast<ssize_t>(n);
  }

  HttpClient connection_;
  nghttp2_session* session_ = nullptr;
  std::map<std::int32_t, Reply> replies_;
  std::map<std::int32_t, Outgoing> out_;
  std::optional<std::uint32_t> goaway_;
};

}  // namespace penstock::testing_support
