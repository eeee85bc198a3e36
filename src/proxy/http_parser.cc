#include "proxy/http_parser.h"

#include <llhttp.h>

#include <algorithm>
#include <array>
#include <utility>

namespace penstock::proxy {
namespace {

// A piece of State::text.
struct Span {
  std::size_t from = 0;
  std::size_t size = 0;
};

// Bytes that a header name may have, in lower case; 0 for the others (RFC 9110, 5.6.2). The
// parser lets a space through.
constexpr std::array<char, 256> kNameBytes = [] {
  std::array<char, 256> bytes{};
  for (const char c : std::string_view("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz")) {
    bytes[static_cast<unsigned char>(c)] = c;
    if (c >= 'a' && c <= 'z') bytes[static_cast<unsigned char>(c - 'a' + 'A')] = c;
  }
  return bytes;
}();

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
  bool in_body = false;
  const char* end = nullptr;     // of the bytes that are being parsed
  std::uint64_t chunk_left = 0;  // bytes
  std::string_view due;          // what has to come next, after a chunk
  std::size_t trailers = 0;      // bytes of them: they are dropped
  bool too_large = false;
  bool in_message = false;

  static State& Of(llhttp_t* parser) { return *static_cast<State*>(parser->data); }
  static const llhttp_settings_t& Settings();

  // Trailers come after the head was told of, and must leave its views alone.
  int Drop(std::string_view piece) {
    trailers += piece.size();
    too_large = trailers > kMaxHead;
    return too_large ? HPE_USER : 0;
  }

  // These and all below return llhttp's verdict for a callback: 0 to go on.
  int Append(std::string_view piece) {
    too_large = text.size() + piece.size() > kMaxHead || headers.size() > kMaxHeaders;
    if (too_large) return HPE_USER;
    text += piece;
    return 0;
  }

  int AppendName(std::string_view piece) {
    const std::size_t from = text.size();
    if (const int verdict = Append(piece); verdict != 0) return verdict;
    for (std::size_t i = from; i < text.size(); ++i) {
      text[i] = kNameBytes[static_cast<unsigned char>(text[i])];
      if (text[i] == 0) return HPE_USER;
    }
    return 0;
  }

  // The parser skips two bytes after a chunk, whatever they are.
  int CheckDue(std::string_view bytes) {
    const std::size_t n = std::min(due.size(), bytes.size());
    if (bytes.substr(0, n) != due.substr(0, n)) return HPE_USER;
    due.remove_prefix(n);
    return 0;
  }

  int OnBody(std::string_view piece) {
    sink.OnBodyPiece(piece);
    if (!head.chunked) return 0;
    chunk_left -= piece.size();
    if (chunk_left > 0) return 0;
    due = "\r\n";
    const char* after = piece.data() + piece.size();
    return CheckDue({after, static_cast<std::size_t>(end - after)});
  }

  std::string_view View(Span span) const {
    return std::string_view(text).substr(span.from, span.size);
  }

  // llhttp looks at the method and the end of HTTP/2's preface only.
  bool IsPreface() const {
    return parser.http_major == 2 && parser.http_minor == 0 && View(target) == "*";
  }

  void Begin() {
    text.clear();
    headers.clear();
    target = {};
    in_value = false;
    in_body = false;
    trailers = 0;
    in_message = true;
  }

  int OnField(std::string_view piece) {
    if (in_body) return Drop(piece);
    if (std::exchange(in_value, false) || headers.empty()) headers.emplace_back();
    Span& name = headers.back().first;
    if (name.size == 0) name.from = text.size();
    name.size += piece.size();
    return AppendName(piece);
  }

  int OnValue(std::string_view piece) {
    if (in_body) return Drop(piece);
    if (headers.empty() || headers.back().first.size == 0) return HPE_USER;  // it has no name
    in_value = true;
    Span& value = headers.back().second;
    if (value.size == 0) value.from = text.size();
    value.size += piece.size();
    return Append(piece);
  }

  int Complete() {
    if (parser.http_major != 1) return HPE_USER;
    in_body = true;
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
    return 0;
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
      return Of(p).Append({at, n});
    };
    s.on_header_field = [](llhttp_t* p, const char* at, std::size_t n) {
      return Of(p).OnField({at, n});
    };
    s.on_header_value = [](llhttp_t* p, const char* at, std::size_t n) {
      return Of(p).OnValue({at, n});
    };
    s.on_headers_complete = [](llhttp_t* p) { return Of(p).Complete(); };
    s.on_chunk_header = [](llhttp_t* p) {
      Of(p).chunk_left = p->content_length;
      return 0;
    };
    s.on_body = [](llhttp_t* p, const char* at, std::size_t n) { return Of(p).OnBody({at, n}); };
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
  if (state_->CheckDue(bytes) != 0) parser.error = HPE_USER;
  state_->end = bytes.data() + bytes.size();
  parser.error_pos = bytes.data();  // stays there when the parser is in error already
  const llhttp_errno_t result = llhttp_execute(&parser, bytes.data(), bytes.size());
  if (result == HPE_OK) {
    outcome.consumed = bytes.size();
    return outcome;
  }
  outcome.consumed = static_cast<std::size_t>(llhttp_get_error_pos(&parser) - bytes.data());
  if (result == HPE_PAUSED || result == HPE_PAUSED_UPGRADE) {
    outcome.paused = true;
    return outcome;
  }
  if (result == HPE_PAUSED_H2_UPGRADE && state_->IsPreface()) {
    outcome.http2 = true;
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
