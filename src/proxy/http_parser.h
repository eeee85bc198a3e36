// Bytes to HTTP/1.1 requests. Node's llhttp finds the pieces; this keeps them and their limits.
//
// Thread: the proxy's loop.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "proxy/http_head.h"

namespace penstock::proxy {

class HttpParser {
 public:
  // Largest head, request line and headers together, in bytes.
  static constexpr std::size_t kMaxHead = 64 << 10;
  static constexpr std::size_t kMaxHeaders = 256;

  // Told in order of each request: one head, pieces of the body, one end. Trailers are dropped.
  // The head's views live until the next one begins.
  class Sink {
   public:
    virtual ~Sink() = default;
    virtual void OnHead(const HttpHead& head) = 0;
    virtual void OnBodyPiece(std::string_view piece) = 0;
    virtual void OnEnd() = 0;
  };

  // What came of a call of Feed.
  struct Outcome {
    std::size_t consumed = 0;  // bytes used; the rest belongs to the next request
    bool paused = false;       // at the end of a request: call Resume before the next Feed
    bool http2 = false;        // the preface of HTTP/2 has been consumed: not for this parser
    int error_status = 0;      // 400 or 431 when the bytes are no request; nothing more can come
    std::string error;         // why, for the log
  };

  // `sink` outlives the parser.
  explicit HttpParser(Sink& sink);
  ~HttpParser();

  HttpParser(const HttpParser&) = delete;
  HttpParser& operator=(const HttpParser&) = delete;

  // Parses `bytes` up to the end of a request at most.
  Outcome Feed(std::string_view bytes);

  // Goes on with the next request.
  void Resume();

  // True inside a request: a connection that ends now cut it short.
  bool in_message() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace penstock::proxy
