#include "base/access_log.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <ctime>
#include <nlohmann/json.hpp>

namespace penstock::base {
namespace {

constexpr std::size_t kMillisDigits = 3;

bool IsControl(char c) { return static_cast<unsigned char>(c) < ' ' || c == 127; }

// "3.3ms"
void AppendLatency(std::string& out, Duration latency) {
  const auto tenths = (latency.count() + 50'000) / 100'000;
  out += std::to_string(tenths / 10);
  out += '.';
  out += static_cast<char>('0' + tenths % 10);
  out += "ms";
}

// "GET /conv 200 3.3ms"
void AppendMessage(std::string& out, const AccessLog::Entry& entry) {
  for (const std::string_view part : {entry.method, entry.target, entry.status}) {
    AppendPlain(out, part);
    out += ' ';
  }
  AppendLatency(out, entry.latency);
}

void AppendField(std::string& out, std::string_view name, std::string_view value) {
  out += ", ";
  AppendJsonString(out, name);
  out += ": ";
  AppendJsonString(out, value);
}

}  // namespace

void AppendPlain(std::string& out, std::string_view text) {
  if (std::none_of(text.begin(), text.end(), IsControl)) {
    out += text;
    return;
  }
  for (const char c : text) out += IsControl(c) ? '?' : c;
}

void AppendJsonString(std::string& out, std::string_view text) {
  const auto needs_care = [](char c) {
    return IsControl(c) || c == '"' || c == '\\' || static_cast<unsigned char>(c) > 127;
  };
  if (std::any_of(text.begin(), text.end(), needs_care)) {
    out += nlohmann::json(std::string(text))
               .dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
    return;
  }
  out += '"';
  out += text;
  out += '"';
}

Status AccessLog::Configure(const AccessLogOptions& options) {
  options_ = options;
  fields_.clear();
  for (const auto& [name, value] : options.fields) AppendField(fields_, name, value);
  return log_.Open(options.file);
}

// The broken-down time is the expensive part: made once a second.
void AccessLog::ReadClock() {
  now_ = loop_.clock().UnixSeconds();
  const auto second = static_cast<std::int64_t>(now_);
  if (second != second_) {
    second_ = second;
    const auto time = static_cast<std::time_t>(second);
    std::tm local{};
    ::localtime_r(&time, &local);
    std::array<char, 64> text;
    const auto n = std::strftime(text.data(), text.size(), "%Y-%m-%d %H:%M:%S,000", &local);
    time_.assign(text.data(), n);
  }
  const int ms = static_cast<int>((now_ - std::floor(now_)) * 1000);
  char* digits = time_.data() + time_.size() - kMillisDigits;
  digits[0] = static_cast<char>('0' + ms / 100);
  digits[1] = static_cast<char>('0' + ms / 10 % 10);
  digits[2] = static_cast<char>('0' + ms % 10);
}

void AccessLog::Note(const Entry& entry) {
  if (!log_.open()) return;
  ReadClock();
  if (options_.json) {
    AppendJson(entry);
  } else {
    AppendText(entry);
  }
  log_.buffer() += '\n';
  log_.Written();
}

void AccessLog::AppendText(const Entry& entry) {
  std::string& out = log_.buffer();
  out += "INFO ";
  out += time_;
  for (const std::string_view part :
       {std::string_view(options_.component), std::string_view(options_.id), entry.request_id}) {
    out += ' ';
    AppendPlain(out, part);
  }
  if (!entry.model_id.empty()) {
    out += " model=";
    AppendPlain(out, entry.model_id);
  }
  out += " -- ";
  AppendMessage(out, entry);
}

void AccessLog::AppendJson(const Entry& entry) {
  std::string& out = log_.buffer();
  out += R"({"asctime": ")";
  out += time_;
  out += R"(", "levelname": "INFO")";
  std::string message;
  AppendMessage(message, entry);
  AppendField(out, "message", message);
  AppendField(out, "request_id", entry.request_id);
  AppendField(out, "route", entry.route);
  AppendField(out, "application", entry.app);
  if (!entry.model_id.empty()) AppendField(out, "multiplexed_model_id", entry.model_id);
  out += fields_;
  out += R"(, "timestamp_ns": )";
  out += std::to_string(std::llround(now_ * 1e9));
  out += '}';
}

void AccessLog::Flush() {
  log_.Flush();
  log_.RotateIfLarge();
}

}  // namespace penstock::base
