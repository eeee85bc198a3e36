#include "base/message.h"

#include <array>

#include "base/wire.h"

namespace penstock::base {
namespace {

constexpr std::array<std::pair<Code, const char*>, 12> kCodeNames{{
    {Code::kOk, "ok"},
    {Code::kInvalidArgument, "invalid_argument"},
    {Code::kWrongType, "wrong_type"},
    {Code::kNotFound, "not_found"},
    {Code::kAlreadyExists, "already_exists"},
    {Code::kFailedPrecondition, "failed_precondition"},
    {Code::kResourceExhausted, "resource_exhausted"},
    {Code::kUnavailable, "unavailable"},
    {Code::kDeadlineExceeded, "deadline_exceeded"},
    {Code::kCancelled, "cancelled"},
    {Code::kUnimplemented, "unimplemented"},
    {Code::kInternal, "internal"},
}};

// Whoever handles JSON recurses, the library's dump() too: a text of brackets must not be what
// decides how deep. Python's own parser stops at about a thousand.
constexpr int kDeepest = 500;

bool IsTooDeep(std::string_view text) {
  int depth = 0;
  bool in_string = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      in_string = c != '"';
    } else if (c == '"') {
      in_string = true;
    } else if (c == '[' || c == '{') {
      if (++depth > kDeepest) return true;
    } else if (c == ']' || c == '}') {
      --depth;
    }
  }
  return false;
}

}  // namespace

const char* CodeName(Code code) {
  for (const auto& [known, name] : kCodeNames) {
    if (known == code) return name;
  }
  return "internal";
}

Code CodeFromName(std::string_view name) {
  for (const auto& [code, known] : kCodeNames) {
    if (known == name) return code;
  }
  return Code::kInternal;
}

std::string EncodeMessage(const Message& message) {
  std::string payload;
  // Replaced rather than refused: a traceback may quote bytes that are not UTF-8.
  WireWriter(payload).PutString(
      message.json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
  payload += message.blob;
  return payload;
}

Result<Message> DecodeMessage(std::string_view payload) {
  WireReader reader(payload);
  const std::string_view text = reader.GetString();
  if (!reader.ok()) return InvalidArgument("control message is cut short");
  if (IsTooDeep(text)) return InvalidArgument("control message is nested too deeply");
  Message message;
  message.json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (message.json.is_discarded()) return InvalidArgument("control message is not JSON");
  message.blob = reader.rest();
  return message;
}

}  // namespace penstock::base
