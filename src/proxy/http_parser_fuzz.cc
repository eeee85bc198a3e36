// Bytes of any client: however they are cut, the same requests, within the limits, and nothing
// in a head that could start another head.
#include <algorithm>
#include <string>
#include <vector>

#include "proxy/http_parser.h"
#include "support/fuzz.h"

namespace penstock::proxy {
namespace {

bool IsToken(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    const bool alnum = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
    return alnum || std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
  });
}

// Writes down what it is told, and checks each piece.
class Recorder final : public HttpParser::Sink {
 public:
  void OnHead(const HttpHead& head) override {
    PENSTOCK_CHECK(!in_body_);
    in_body_ = true;
    CheckHead(head);
    target_ = head.target;
    // What follows a CONNECT is not HTTP, whatever its head announces.
    announced_ = head.chunked || head.method == "CONNECT" ? 0 : head.content_length;
    chunked_ = head.chunked;
    received_ = 0;
    copy_ = std::string(head.target);
    log += "\n> " + std::string(head.method) + ' ' + copy_ + ' ' + std::string(head.version) +
           (head.keep_alive ? " keep" : " close") + (head.upgrade ? " upgrade" : "") +
           (head.expects_continue ? " continue" : "");
    for (const auto& [name, value] : head.headers) {
      log += '\n';
      log += name;
      log += '=';
      log += value;
    }
    log += "\n\n";
  }

  void OnBodyPiece(std::string_view piece) override {
    PENSTOCK_CHECK(in_body_);
    PENSTOCK_CHECK(!piece.empty());
    received_ += piece.size();
    PENSTOCK_CHECK(chunked_ || received_ <= announced_);
    log += piece;
  }

  void OnEnd() override {
    PENSTOCK_CHECK(in_body_);
    in_body_ = false;
    PENSTOCK_CHECK(chunked_ || received_ == announced_);
    PENSTOCK_CHECK(target_ == copy_);  // views of the head hold until the next one
    log += "\n.";
  }

  bool in_body() const { return in_body_; }

  std::string log;

 private:
  static void CheckHead(const HttpHead& head) {
    std::size_t size = head.target.size();
    PENSTOCK_CHECK(!head.target.empty());
    PENSTOCK_CHECK(head.target.find_first_of(std::string_view(" \r\n\0", 4)) ==
                   std::string_view::npos);
    PENSTOCK_CHECK(head.version == "1.0" || head.version == "1.1");
    PENSTOCK_CHECK(head.headers.size() <= HttpParser::kMaxHeaders);
    for (const auto& [name, value] : head.headers) {
      PENSTOCK_CHECK(IsToken(name));
      PENSTOCK_CHECK(value.find_first_of(std::string_view("\r\n\0", 3)) == std::string_view::npos);
      size += name.size() + value.size();
    }
    PENSTOCK_CHECK(size <= HttpParser::kMaxHead);
    PENSTOCK_CHECK(!head.chunked || head.content_length == 0);
  }

  bool in_body_ = false;
  bool chunked_ = false;
  std::uint64_t announced_ = 0;
  std::uint64_t received_ = 0;
  std::string_view target_;
  std::string copy_;
};

// What the parser makes of `bytes` fed in pieces of `step`: its log, and the error at the end.
std::string Parse(std::string_view bytes, std::size_t step) {
  Recorder recorder;
  HttpParser parser(recorder);
  while (!bytes.empty()) {
    const auto outcome = parser.Feed(bytes.substr(0, step));
    PENSTOCK_CHECK(outcome.consumed <= std::min(step, bytes.size()));
    PENSTOCK_CHECK(!(outcome.paused && outcome.error_status != 0));
    if (outcome.error_status != 0) {
      PENSTOCK_CHECK(outcome.error_status == 400 || outcome.error_status == 431);
      PENSTOCK_CHECK(!outcome.error.empty());
      const auto again = parser.Feed("GET / HTTP/1.1\r\n\r\n");
      PENSTOCK_CHECK(again.error_status != 0 && again.consumed == 0);  // for good
      return recorder.log + "\n!";  // which limit was hit first depends on the pieces
    }
    bytes.remove_prefix(outcome.consumed);
    if (outcome.http2) return recorder.log + "\nHTTP/2 " + std::string(bytes);
    if (outcome.paused) {
      PENSTOCK_CHECK(!recorder.in_body() && !parser.in_message());
      parser.Resume();
    } else {
      PENSTOCK_CHECK(outcome.consumed > 0);
      PENSTOCK_CHECK(!recorder.in_body() || parser.in_message());
    }
  }
  return recorder.log;
}

}  // namespace
}  // namespace penstock::proxy

PENSTOCK_FUZZ(input) {
  using penstock::proxy::Parse;
  const std::size_t step = 1 + input.Byte();
  const std::string_view bytes = input.rest();
  const std::string whole = Parse(bytes, bytes.size());
  PENSTOCK_CHECK(Parse(bytes, step) == whole);
  PENSTOCK_CHECK(bytes.size() > 4096 || Parse(bytes, 1) == whole);
}
