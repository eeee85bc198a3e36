#include "proxy/http2_head.h"

#include <charconv>

#include "proxy/http_parser.h"

namespace penstock::proxy {
namespace {

// What a field counts for beyond its bytes (RFC 9113, 6.5.2).
constexpr std::size_t kFieldOverhead = 32;

}  // namespace

Http2Head::Span Http2Head::Keep(std::string_view text) {
  const Span span{.from = text_.size(), .size = text.size()};
  text_ += text;
  return span;
}

void Http2Head::Add(std::string_view name, std::string_view value) {
  size_ += name.size() + value.size() + kFieldOverhead;
  too_large_ =
      too_large_ || size_ > HttpParser::kMaxHead || fields_.size() >= HttpParser::kMaxHeaders;
  if (too_large_) return;
  if (name == ":method") {
    method_ = Keep(value);
  } else if (name == ":path") {
    path_ = Keep(value);
  } else if (name == ":authority") {
    authority_ = Keep(value);
  } else if (name == "cookie") {
    if (!cookie_.empty()) cookie_ += "; ";
    cookie_ += value;
  } else if (!name.starts_with(':')) {
    const Span kept = Keep(name);
    fields_.emplace_back(kept, Keep(value));
  }
}

HttpHead Http2Head::Finish(bool ended) {
  HttpHead head{.method = View(method_), .target = View(path_), .version = "2"};
  head.keep_alive = true;
  head.upgrade = head.method == "CONNECT";
  bool has_length = false;
  if (authority_.size > 0) head.headers.emplace_back("host", View(authority_));
  for (const auto& [name, value] : fields_) {
    const std::string_view key = View(name);
    const std::string_view text = View(value);
    if (key == "host" && authority_.size > 0) continue;
    if (key == "content-length") {
      has_length = true;
      std::from_chars(text.data(), text.data() + text.size(), head.content_length);
    }
    if (key == "expect" && text == "100-continue") head.expects_continue = true;
    head.headers.emplace_back(key, text);
  }
  if (!cookie_.empty()) head.headers.emplace_back("cookie", cookie_);
  head.chunked = !ended && !has_length;
  return head;
}

}  // namespace penstock::proxy
