#include "proxy/http_parser.h"

#include <llhttp.h>

#include <array>
#include <utility>

namespace penstock::proxy {
namespace {

// A piece of State::text.
struct Span {
  std::size_t from = 0;
  std::size_t size = 0;
};

char Lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

}  // namespace

struct HttpParser::State {
  explicit State(Sink& to) : sink(to) {
    llhttp_init(&parser, HTTP_REQUEST, &Settings());
    parser.data = this;
  }

  Sink& sink;
  llhttp_t parser{};
  HttpHead head;
  std::string text;  // target, then names and values of headers, one after another
  Span target;
  std::vector<std::pair<Span, Span>> headers;
  bool in_value = false;
  bool too_large = false;
  bool in_message = false;

  static State& Of(llhttp_t* parser) { return *static_cast<State*>(parser->data); }
  static const llhttp_settings_t& Settings();

  // Returns llhttp's verdict for the callback: 0 to go on.
  int Append(std::string_view piece, bool lower) {
    if (text.size() + piece.size() > kMaxHead || headers.size() > kMaxHeaders) {
      too_large = true;
      return HPE_USER;
    }
    if (lower) {
      for (const char c : piece) text += Lower(c);
    } else {
      text += piece;
    }
    return 0;
  }

  std::string_view View(Span span) const { return std::string_view(text).substr(span.from, span.size); }

  void Begin() {
    text.clear();
    headers.clear();
    target = {};
    in_value = false;
    in_message = true;
  }

  int OnField(std::string_view piece) {
    if (std::exchange(in_value, false) || headers.empty()) headers.emplace_back();
    Span& name = headers.back().first;
    if (name.size == 0) name.from = text.size();
    name.size += piece.size();
    return Append(piece, /*lower=*/true);
  }

  int OnValue(std::string_view piece) {
    in_value = true;
    Span& value = headers.back().second;
    if (value.size == 0) value.from = text.size();
    value.size += piece.size();
    return Append(piece, /*lower=*/false);
  }

  void Complete() {
    head.method = llhttp_method_name(static_cast<llhttp_method_t>(parser.method));
    head.target = View(target);
    head.version = parser.http_minor == 0 ? "1.0" : "1.1";
    head.keep_alive = llhttp_should_keep_alive(&parser) != 0;
    head.chunked = (parser.flags & F_CHUNKED) != 0;
    head.upgrade = parser.upgrade != 0;
    head.content_length = (parser.flags & F_CONTENT_LENGTH) != 0 ? parser.content_length : 0;
    head.expects_continue = false;
    head.headers.clear();
    for (const auto& [name, value] : headers) {
      head.headers.emplace_back(View(name), View(value));
      if (View(name) == "expect" && View(value) == "100-continue") head.expects_continue = true;
    }
    sink.OnHead(head);
  }
};

const llhttp_settings_t& HttpParser::State::Settings() {
  static const llhttp_settings_t settings = [] {
    llhttp_settings_t s;
    llhttp_settings_init(&s);
    s.on_message_begin = [](llhttp_t* p) {
      Of(p).Begin();
      return 0;
    };
    s.on_url = [](llhttp_t* p, const char* at, std::size_t n) {
      Of(p).target.size += n;
      return Of(p).Append({at, n}, false);
    };
    s.on_header_field = [](llhttp_t* p, const char* at, std::size_t n) {
      return Of(p).OnField({at, n});
    };
    s.on_header_value = [](llhttp_t* p, const char* at, std::size_t n) {
      return Of(p).OnValue({at, n});
    };
    s.on_headers_complete = [](llhttp_t* p) {
      Of(p).Complete();
      return 0;
    };
    s.on_body = [](llhttp_t* p, const char* at, std::size_t n) {
      Of(p).sink.OnBodyPiece({at, n});
      return 0;
    };
    s.on_message_complete = [](llhttp_t* p) -> int {
      Of(p).in_message = false;
      Of(p).sink.OnEnd();
      return HPE_PAUSED;
    };
    return s;
  }();
  return settings;
}

HttpParser::HttpParser(Sink& sink) : state_(std::make_unique<State>(sink)) {}
HttpParser::~HttpParser() = default;

HttpParser::Outcome HttpParser::Feed(std::string_view bytes) {
  Outcome outcome;
  llhttp_t& parser = state_->parser;
  const llhttp_errno_t result = llhttp_execute(&parser, bytes.data(), bytes.size());
  if (result == HPE_OK) {
    outcome.consumed = bytes.size();
    return outcome;
  }
  const char* stopped = llhttp_get_error_pos(&parser);
  outcome.consumed = stopped == nullptr ? 0 : static_cast<std::size_t>(stopped - bytes.data());
  if (result == HPE_PAUSED || result == HPE_PAUSED_UPGRADE) {
    outcome.paused = true;
    return outcome;
  }
  outcome.error_status = state_->too_large ? 431 : 400;
  const char* reason = llhttp_get_error_reason(&parser);
  outcome.error = std::string(llhttp_errno_name(result)) + (reason == nullptr ? "" : ": ") +
                  (reason == nullptr ? "" : reason);
  return outcome;
}

void HttpParser::Resume() {
  if (llhttp_get_errno(&state_->parser) == HPE_PAUSED_UPGRADE) {
    llhttp_resume_after_upgrade(&state_->parser);
  } else {
    llhttp_resume(&state_->parser);
  }
}

bool HttpParser::in_message() const { return state_->in_message; }

}  // namespace penstock::proxy
