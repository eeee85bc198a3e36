#include "control/store.h"

#include <sqlite3.h>

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

  Status Run(const char* sql) {
    return ::sqlite3_exec(database_.get(), sql, nullptr, nullptr, nullptr) == SQLITE_OK ? Status()
                                                                                        : Error();
  }

 private:
  Status Error() const {
    return Internal(std::string("state database: ") + ::sqlite3_errmsg(database_.get()));
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
};

}  // namespace

Result<std::unique_ptr<Store>> OpenSqliteStore(const std::string& path) {
  sqlite3* raw = nullptr;
  const int opened = ::sqlite3_open(path.c_str(), &raw);
  Database database(raw, &::sqlite3_close);
  if (opened != SQLITE_OK) {
    return Internal("cannot open the state database '" + path + "': " + ::sqlite3_errstr(opened));
  }
  auto store = std::make_unique<SqliteStore>(std::move(database));
  for (const char* sql : {"PRAGMA journal_mode = WAL", "PRAGMA synchronous = NORMAL",
                          "CREATE TABLE IF NOT EXISTS state (key TEXT PRIMARY KEY, value TEXT NOT "
                          "NULL) WITHOUT ROWID"}) {
    if (Status bad = store->Run(sql); !bad.ok()) return bad;
  }
  return std::unique_ptr<Store>(std::move(store));
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
