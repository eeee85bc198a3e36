// Desired state that survives the controller: keys and values, written in transactions.
//
// Keys: "app/<name>", "deployment/<app>/<name>", "setting/<name>"; values are JSON.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "penstock/status.h"

namespace penstock::control {

// One change; without a value the key is removed.
struct Write {
  std::string key;
  std::optional<std::string> value;
};

class Store {
 public:
  virtual ~Store() = default;

  // All of the writes or none. Returned when they are safe from a crash of this process.
  virtual Status Commit(const std::vector<Write>& writes) = 0;

  // Everything.
  virtual Result<std::map<std::string, std::string>> Load() = 0;
};

struct OpenedStore {
  std::unique_ptr<Store> store;
  // Why the file that was there is not used, and where it is kept. Empty: it is used, or there was
  // none.
  std::string replaced;
};

// SQLite at `path`, in write-ahead mode. A file that is damaged is kept beside it, as
// "<path>.corrupt-<UTC time>", and a fresh one takes its place. kFailedPrecondition for one of a
// newer schema, kInternal when it cannot be opened or moved: both name the file, and leave it.
Result<OpenedStore> OpenSqliteStore(const std::string& path, double unix_s);

// Forgets everything with the process: for tests and simulations.
class MemoryStore final : public Store {
 public:
  Status Commit(const std::vector<Write>& writes) override;
  Result<std::map<std::string, std::string>> Load() override { return values_; }

 private:
  std::map<std::string, std::string> values_;
};

}  // namespace penstock::control
