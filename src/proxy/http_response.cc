#include "proxy/http_response.h"

#include <llhttp.h>

#include <array>
#include <charconv>
#include <cstdio>
#include <ctime>
#include <map>

namespace penstock::proxy {
namespace {

void AppendNumber(std::string& out, std::uint64_t number, int base) {
  std::array<char, 24> digits;
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), number, base);
  out.append(digits.data(), end.ptr);
}

void AppendHeader(std::string& out, std::string_view name, std::string_view value) {
  out += name;
  out += ": ";
  out += value;
  out += "\r\n";
}

// A value with a line break in it would start a header of its own: the application's mistake
// must not become the client's.
bool IsSafe(std::string_view value) {
  return value.find_first_of(std::string_view("\r\n\0", 3)) == std::string_view::npos;
}

// NOT_FOUND, as the parser's table has it, to "Not Found".
std::string PhraseOf(std::string_view name) {
  if (name == "OK") return "OK";
  std::string phrase;
  for (const char c : name) {
    const bool first = phrase.empty() || phrase.back() == ' ';
    const bool upper = c >= 'A' && c <= 'Z';
    phrase += c == '_' ? ' ' : (upper && !first ? static_cast<char>(c - 'A' + 'a') : c);
  }
  return phrase;
}

struct Seen {
  bool length = false;
  bool date = false;
  bool server = false;
  bool request_id = false;
};

Seen AppendApplicationHeaders(std::string& out, const base::ReplyHead& head) {
  Seen seen;
  for (const auto& [name, value] : head.headers) {
    if (!IsSafe(name) || !IsSafe(value)) continue;
    if (name == "transfer-encoding" || name == "connection" || name == "keep-alive") continue;
    seen.length = seen.length || name == "content-length";
    seen.date = seen.date || name == "date";
    seen.server = seen.server || name == "server";
    seen.request_id = seen.request_id || name == "x-request-id";
    AppendHeader(out, name, value);
  }
  return seen;
}

}  // namespace

bool AllowsBody(int status) { return status >= 200 && status != 204 && status != 304; }

std::string_view ReasonPhrase(int status) {
  static const std::map<int, std::string> phrases = [] {
    std::map<int, std::string> all;
#define PENSTOCK_STATUS(number, name, text) all.emplace(number, PhraseOf(#text));
    HTTP_STATUS_MAP(PENSTOCK_STATUS)
#undef PENSTOCK_STATUS
    return all;
  }();
  const auto found = phrases.find(status);
  return found == phrases.end() ? std::string_view() : found->second;
}

std::string HttpDate(std::int64_t unix_seconds) {
  const auto seconds = static_cast<std::time_t>(unix_seconds);
  std::tm utc{};
  ::gmtime_r(&seconds, &utc);
  constexpr std::array<const char*, 7> kDays{"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  constexpr std::array<const char*, 12> kMonths{"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  std::array<char, 64> text;
  const int n = std::snprintf(text.data(), text.size(), "%s, %02d %s %04d %02d:%02d:%02d GMT",
                              kDays[static_cast<std::size_t>(utc.tm_wday)], utc.tm_mday,
                              kMonths[static_cast<std::size_t>(utc.tm_mon)], utc.tm_year + 1900,
                              utc.tm_hour, utc.tm_min, utc.tm_sec);
  return {text.data(), static_cast<std::size_t>(n)};
}

Framing AppendResponseHead(std::string& out, const base::ReplyHead& head,
                           std::optional<std::size_t> body_size, const ResponseContext& context) {
  out += "HTTP/1.1 ";
  AppendNumber(out, head.status, 10);
  out += ' ';
  out += ReasonPhrase(head.status);
  out += "\r\n";
  const Seen seen = AppendApplicationHeaders(out, head);
  if (!seen.date) AppendHeader(out, "date", context.date);
  if (!seen.server) AppendHeader(out, "server", "penstock");
  if (!seen.request_id && !context.request_id.empty() && IsSafe(context.request_id)) {
    AppendHeader(out, "x-request-id", context.request_id);
  }
  Framing framing = Framing::kLength;
  if (!AllowsBody(head.status)) {
    framing = Framing::kNone;
  } else if (!seen.length && body_size) {
    out += "content-length: ";
    AppendNumber(out, *body_size, 10);
    out += "\r\n";
  } else if (!seen.length && context.http_1_0) {
    framing = Framing::kClose;
  } else if (!seen.length) {
    out += "transfer-encoding: chunked\r\n";
    framing = Framing::kChunked;
  }
  if (!context.keep_alive || framing == Framing::kClose) {
    AppendHeader(out, "connection", "close");
  } else if (context.http_1_0) {
    AppendHeader(out, "connection", "keep-alive");
  }
  out += "\r\n";
  return context.head_request ? Framing::kNone : framing;
}

void AppendUpgradeHead(std::string& out, const base::ReplyHead& head, std::string_view accept,
                       const ResponseContext& context) {
  out += "HTTP/1.1 101 Switching Protocols\r\n";
  AppendHeader(out, "upgrade", "websocket");
  AppendHeader(out, "connection", "Upgrade");
  AppendHeader(out, "sec-websocket-accept", accept);
  const Seen seen = AppendApplicationHeaders(out, head);
  if (!seen.date) AppendHeader(out, "date", context.date);
  if (!seen.server) AppendHeader(out, "server", "penstock");
  if (!seen.request_id && IsSafe(context.request_id)) {
    AppendHeader(out, "x-request-id", context.request_id);
  }
  out += "\r\n";
}

void AppendBody(std::string& out, Framing framing, std::string_view piece) {
  if (piece.empty() || framing == Framing::kNone) return;
  if (framing != Framing::kChunked) {
    out += piece;
    return;
  }
  AppendNumber(out, piece.size(), 16);
  out += "\r\n";
  out += piece;
  out += "\r\n";
}

void AppendBodyEnd(std::string& out, Framing framing) {
  if (framing == Framing::kChunked) out += "0\r\n\r\n";
}

}  // namespace penstock::proxy
