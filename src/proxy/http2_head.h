// The fields of one HTTP/2 request, put together as a head of HTTP.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "proxy/http_head.h"

namespace penstock::proxy {

class Http2Head {
 public:
  // Adds a field, pseudo-fields too, as the protocol orders and spells them: nghttp2 has checked.
  // What goes beyond the limits of HttpParser is dropped, and too_large() turns true.
  void Add(std::string_view name, std::string_view value);

  // The head; its views live as long as this. `ended`: no body follows. The authority becomes the
  // host, and the crumbs of a cookie one cookie, as applications expect of HTTP/1.1.
  HttpHead Finish(bool ended);

  bool too_large() const { return too_large_; }

 private:
  struct Span {
    std::size_t from = 0;
    std::size_t size = 0;
  };

  Span Keep(std::string_view text);
  std::string_view View(Span span) const {
    return std::string_view(text_).substr(span.from, span.size);
  }

  std::string text_;
  std::string cookie_;
  std::vector<std::pair<Span, Span>> fields_;
  Span method_;
  Span path_;
  Span authority_;
  std::size_t size_ = 0;
  bool too_large_ = false;
};

}  // namespace penstock::proxy
