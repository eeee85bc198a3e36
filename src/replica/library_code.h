// User code in C++: a class of include/penstock/servable.h in a shared object.
//
// Runs on the replica's loop, one request after another.
#pragma once

#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "penstock/servable.h"
#include "replica/user_code.h"

namespace penstock::replica {

class LibraryCode final : public UserCode {
 public:
  LibraryCode();
  ~LibraryCode() override;

  // `assignment`: {"library": path of the shared object, "user_config": any}.
  void Initialize(const nlohmann::json& assignment, Done done) override;
  void Reconfigure(const nlohmann::json& change, Done done) override;
  void CheckHealth(Done done) override;
  void Start(std::shared_ptr<Call> call) override;
  void Cancel(Call& call) override;
  void Shutdown(Done done) override;

 private:
  Status Load(const std::string& path);
  void Answer(Call& call, const std::string& body);

  std::unique_ptr<Servable> servable_;
};

}  // namespace penstock::replica
