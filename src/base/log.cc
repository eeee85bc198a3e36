#include "base/log.h"

#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/rotating_file_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <memory>

namespace penstock::base {
namespace {

// Ray's rotation: 512 MiB, five files.
constexpr std::size_t kRotateBytes = std::size_t{512} << 20;
constexpr std::size_t kRotateFiles = 5;

// Python's level names, which is what people grep for in Ray's logs.
class LevelName final : public spdlog::custom_flag_formatter {
 public:
  void format(const spdlog::details::log_msg& message, const std::tm&,
              spdlog::memory_buf_t& out) override {
    const std::string_view name = Name(message.level);
    out.append(name.data(), name.data() + name.size());
  }
  std::unique_ptr<custom_flag_formatter> clone() const override {
    return std::make_unique<LevelName>();
  }

 private:
  static std::string_view Name(spdlog::level::level_enum level) {
    if (level <= spdlog::level::debug) return "DEBUG";
    if (level == spdlog::level::info) return "INFO";
    if (level == spdlog::level::warn) return "WARNING";
    return "ERROR";
  }
};

spdlog::level::level_enum Level(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return spdlog::level::debug;
    case LogLevel::kInfo:
      return spdlog::level::info;
    case LogLevel::kWarning:
      return spdlog::level::warn;
    case LogLevel::kError:
      break;
  }
  return spdlog::level::err;
}

std::unique_ptr<spdlog::formatter> Formatter(const std::string& component, const std::string& id) {
  auto formatter = std::make_unique<spdlog::pattern_formatter>();
  formatter->add_flag<LevelName>('*');
  formatter->set_pattern("%* %Y-%m-%d %H:%M:%S,%e " + component + " " + id + " -- %v");
  return formatter;
}

std::shared_ptr<spdlog::logger> StderrLogger() {
  auto sink = std::make_shared<spdlog::sinks::stderr_sink_mt>();
  auto logger = std::make_shared<spdlog::logger>("penstock", sink);
  logger->set_level(spdlog::level::warn);
  logger->set_formatter(Formatter("penstock", "-"));
  return logger;
}

std::shared_ptr<spdlog::logger>& Logger() {
  static std::shared_ptr<spdlog::logger> logger = StderrLogger();
  return logger;
}

void AppendValue(std::string& line, const std::string& value) {
  const bool plain = !value.empty() && value.find_first_of(" \"\n=") == std::string::npos;
  if (plain) {
    line += value;
    return;
  }
  line += '"';
  for (const char c : value) {
    if (c == '\n') {
      line += "\\n";
    } else {
      if (c == '"' || c == '\\') line += '\\';
      line += c;
    }
  }
  line += '"';
}

}  // namespace

Status OpenLog(const LogOptions& options) {
  auto logger = StderrLogger();
  if (!options.path.empty()) {
    try {  // the library reports a file that cannot be opened by throwing
      auto sink = std::make_shared<spdlog::sinks::rotating_file_sink_mt>(options.path, kRotateBytes,
                                                                         kRotateFiles);
      logger = std::make_shared<spdlog::logger>("penstock", sink);
    } catch (const spdlog::spdlog_ex& error) {
      return Internal(error.what());
    }
  }
  logger->set_level(Level(options.level));
  logger->set_formatter(Formatter(options.component, options.id));
  logger->flush_on(spdlog::level::info);
  Logger() = std::move(logger);
  return {};
}

void SetLogLevel(LogLevel level) { Logger()->set_level(Level(level)); }

void Log(LogLevel level, std::string_view event, LogFields fields) {
  const auto& logger = Logger();
  if (!logger->should_log(Level(level))) return;
  std::string line(event);
  for (const auto& [key, value] : fields) {
    line += ' ';
    line += key;
    line += '=';
    AppendValue(line, value);
  }
  logger->log(Level(level), "{}", line);
}

void FlushLog() { Logger()->flush(); }

}  // namespace penstock::base
