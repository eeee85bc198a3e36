// Logs: one line, one event, `key=value`.
//
// Line format is Ray Serve's: "LEVEL YYYY-MM-DD HH:MM:SS,mmm component id -- message". Any
// thread. Lines go to one rotating file a process and, if asked, to stderr.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

#include "penstock/status.h"

namespace penstock::base {

enum class LogLevel { kDebug, kInfo, kWarning, kError };

struct LogOptions {
  std::string path;       // "" for stderr
  std::string component;  // "controller", "proxy", "<app>_<deployment>"
  std::string id;         // process, node or replica id
  LogLevel level = LogLevel::kInfo;
};

// Call once, before other threads log. kInternal when the file cannot be opened. Without it
// lines at warning and above go to stderr.
Status OpenLog(const LogOptions& options);

// Lines below it are dropped from now on.
void SetLogLevel(LogLevel level);

// Values with spaces are quoted. Cheap when the level is off.
using LogFields = std::initializer_list<std::pair<std::string_view, std::string>>;
void Log(LogLevel level, std::string_view event, LogFields fields = {});

inline void LogInfo(std::string_view event, LogFields fields = {}) {
  Log(LogLevel::kInfo, event, fields);
}
inline void LogWarning(std::string_view event, LogFields fields = {}) {
  Log(LogLevel::kWarning, event, fields);
}
inline void LogError(std::string_view event, LogFields fields = {}) {
  Log(LogLevel::kError, event, fields);
}

// Writes out what is buffered.
void FlushLog();

}  // namespace penstock::base
