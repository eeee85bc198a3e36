#include "control/store.h"

#include <sqlite3.h>

#include <array>
#include <cstdint>
#include <ctime>
#include <filesystem>
#include <system_error>
#include <utility>

namespace penstock::control {
namespace {

using Database = std::unique_ptr<sqlite3, decltype(&::sqlite3_close)>;
using Statement = std::unique_ptr<sqlite3_stmt, decltype(&::sqlite3_finalize)>;

class SqliteStore final : public Store {
 public:
  explicit SqliteStore(Database database) : database_(std::move(database)) {}

  Status Commit(const std::vector<Write>& writes) override {
    if (Status bad = Run("BEGIN IMMEDIATE"); !bad.ok()) return bad;
    for (const Write& write : writes) {
      if (Status bad = Apply(write); !bad.ok()) {
        const Status undone = Run("ROLLBACK");
        return undone.ok() ? bad : undone;
      }
    }
    return Run("COMMIT");
  }

  Result<std::map<std::string, std::string>> Load() override {
    Statement select = Prepare("SELECT key, value FROM state");
    if (!select) return Error();
    std::map<std::string, std::string> values;
    int step = SQLITE_ROW;
    while ((step = ::sqlite3_step(select.get())) == SQLITE_ROW) {
      values.emplace(Text(select, 0), Text(select, 1));
    }
    if (step != SQLITE_DONE) return Error();
    return values;
  }

  // Makes it a state database, or finds that it is one. `there`: the file existed.
  Status Begin(bool there) {
    const auto version = Number("PRAGMA user_version");
    if (!version.ok()) return version.status();
    if (*version > kSchemaVersion) {
      return Status(Code::kFailedPrecondition,
                    "state database '" +
                        std::string(::sqlite3_db_filename(database_.get(), "main")) +
                        "': its schema is " + std::to_string(*version) +
                        ", of a newer Penstock; this one knows up to " +
                        std::to_string(kSchemaVersion) + ".");
    }
    const auto tables = Number("SELECT count(*) FROM sqlite_master WHERE name = 'state'");
    if (!tables.ok()) return tables.status();
    holds_nothing_ = there && *tables == 0;
    if (holds_nothing_) return Internal("it holds no state");
    if (Status bad = Check(); !bad.ok()) return bad;
    const std::string schema = "PRAGMA user_version = " + std::to_string(kSchemaVersion);
    for (const char* sql : {"PRAGMA journal_mode = WAL", "PRAGMA synchronous = NORMAL",
                            "CREATE TABLE IF NOT EXISTS state (key TEXT PRIMARY KEY, value TEXT "
                            "NOT NULL) WITHOUT ROWID",
                            schema.c_str()}) {
      if (Status bad = Run(sql); !bad.ok()) return bad;
    }
    return Load().status();
  }

  // SQLite's result code of the last failure.
  int last_code() const { return last_code_; }
  bool holds_nothing() const { return holds_nothing_; }

  Status Run(const char* sql) {
    return ::sqlite3_exec(database_.get(), sql, nullptr, nullptr, nullptr) == SQLITE_OK ? Status()
                                                                                        : Error();
  }

 private:
  // Before the first version there was the same table without a number.
  static constexpr std::int64_t kSchemaVersion = 1;

  Status Error() {
    last_code_ = ::sqlite3_errcode(database_.get());
    return Internal(::sqlite3_errmsg(database_.get()));
  }

  Result<std::int64_t> Number(const char* sql) {
    Statement statement = Prepare(sql);
    if (!statement || ::sqlite3_step(statement.get()) != SQLITE_ROW) return Error();
    return ::sqlite3_column_int64(statement.get(), 0);
  }

  // Reads all pages: what is missing is found now rather than by a write.
  Status Check() {
    Statement check = Prepare("PRAGMA quick_check(1)");
    if (!check || ::sqlite3_step(check.get()) != SQLITE_ROW) return Error();
    const std::string found = Text(check, 0);
    if (found == "ok") return {};
    last_code_ = SQLITE_CORRUPT;
    return Internal(found);
  }

  Statement Prepare(const char* sql) {
    sqlite3_stmt* raw = nullptr;
    ::sqlite3_prepare_v2(database_.get(), sql, -1, &raw, nullptr);
    return {raw, &::sqlite3_finalize};
  }

  static std::string Text(const Statement& statement, int column) {
    const void* bytes = ::sqlite3_column_blob(statement.get(), column);
    const auto size = static_cast<std::size_t>(::sqlite3_column_bytes(statement.get(), column));
    return bytes == nullptr ? std::string() : std::string(static_cast<const char*>(bytes), size);
  }

  Status Apply(const Write& write) {
    Statement statement = Prepare(
        write.value ? "INSERT INTO state VALUES (?1, ?2) ON CONFLICT DO UPDATE SET value = ?2"
                    : "DELETE FROM state WHERE key = ?1");
    if (!statement) return Error();
    Bind(statement, 1, write.key);
    if (write.value) Bind(statement, 2, *write.value);
    return ::sqlite3_step(statement.get()) == SQLITE_DONE ? Status() : Error();
  }

  static void Bind(const Statement& statement, int index, const std::string& text) {
    ::sqlite3_bind_text64(statement.get(), index, text.data(), text.size(), SQLITE_STATIC,
                          SQLITE_UTF8);
  }

  Database database_;
  int last_code_ = SQLITE_OK;
  bool holds_nothing_ = false;
};

// What SQLite means by it: the bytes are not those of a database.
bool IsDamage(int code) {
  return (code & 0xff) == SQLITE_CORRUPT || (code & 0xff) == SQLITE_NOTADB;
}

// One try to open a file.
struct Attempt {
  Status status;
  bool damaged = false;
  std::unique_ptr<SqliteStore> store;
};

Attempt OpenOnce(const std::string& path) {
  std::error_code none;
  const bool there = std::filesystem::exists(path, none);
  sqlite3* raw = nullptr;
  const int opened = ::sqlite3_open(path.c_str(), &raw);
  Database database(raw, &::sqlite3_close);
  const auto named = [&](const std::string& what) {
    return Internal("state database '" + path + "': " + what);
  };
  if (opened != SQLITE_OK) return {.status = named(::sqlite3_errstr(opened))};
  Attempt attempt{.store = std::make_unique<SqliteStore>(std::move(database))};
  attempt.status = attempt.store->Begin(there);
  attempt.damaged = IsDamage(attempt.store->last_code()) || attempt.store->holds_nothing();
  if (attempt.status.code() == Code::kInternal) attempt.status = named(attempt.status.message());
  return attempt;
}

// "20260131T235959Z".
std::string UtcText(double unix_s) {
  const auto seconds = static_cast<std::time_t>(unix_s);
  std::tm utc{};
  ::gmtime_r(&seconds, &utc);
  std::array<char, 32> text{};
  std::strftime(text.data(), text.size(), "%Y%m%dT%H%M%SZ", &utc);
  return text.data();
}

// With what belongs to it: its log would be taken for that of the next one.
Status MoveAside(const std::string& path, const std::string& kept) {
  for (const char* part : {"", "-wal", "-shm"}) {
    std::error_code failed;
    if (!std::filesystem::exists(path + part, failed)) continue;
    std::filesystem::rename(path + part, kept + part, failed);
    if (failed) {
      return Internal("state database '" + path + part + "': cannot be moved to '" + kept + part +
                      "': " + failed.message());
    }
  }
  return {};
}

}  // namespace

Result<OpenedStore> OpenSqliteStore(const std::string& path, double unix_s) {
  Attempt first = OpenOnce(path);
  if (first.status.ok()) return OpenedStore{.store = std::move(first.store)};
  if (!first.damaged) return first.status;
  first.store.reset();
  const std::string kept = path + ".corrupt-" + UtcText(unix_s);
  if (Status bad = MoveAside(path, kept); !bad.ok()) return bad;
  Attempt second = OpenOnce(path);
  if (!second.status.ok()) return second.status;
  return OpenedStore{.store = std::move(second.store),
                     .replaced = first.status.message() + ". It is kept as '" + kept + "'."};
}

Status MemoryStore::Commit(const std::vector<Write>& writes) {
  for (const Write& write : writes) {
    if (write.value) {
      values_[write.key] = *write.value;
    } else {
      values_.erase(write.key);
    }
  }
  return {};
}

}  // namespace penstock::control
