// The replica's side of the data plane: connections from routers, admission, draining.
//
// Admission is here and nowhere else: routers guess, the replica knows. At most
// max_ongoing_requests run at once over all callers; the rest is refused without having run.
//
// Thread: the replica's loop.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/connection.h"
#include "base/loop.h"
#include "base/progress_page.h"
#include "penstock/status.h"
#include "replica/call.h"
#include "replica/telemetry.h"
#include "replica/user_code.h"

namespace penstock::replica {

class Runtime final : private base::FdHandler {
 public:
  // `user_code` outlives the runtime, and so does `page`, where requests are noted unless it is
  // nullptr.
  Runtime(base::Loop& loop, UserCode& user_code, base::ProgressPage* page = nullptr);
  ~Runtime() override;

  Runtime(const Runtime&) = delete;
  Runtime& operator=(const Runtime&) = delete;

  // Takes requests at a Unix socket from now on.
  Status Listen(const std::string& path);

  // Takes over a connected socket, as Listen does with each that it accepts.
  void Adopt(base::UniqueFd socket);

  // New requests above the limit are refused; running ones are left alone. Pre: limit > 0.
  void SetMaxOngoing(int limit);

  // Tells all routers which models are loaded here or being loaded, now and when they connect, so
  // that they send requests for these here.
  void SetModels(std::vector<std::string> models);

  // Tells all routers what the code says for them, now and when they connect: a JSON object, as
  // the control protocol's page has it. kInvalidArgument when it is too large for a frame.
  Status SetStats(std::string stats);

  // Refuses everything new and says so to all routers; calls `drained` once nothing runs and
  // every reply has left.
  void Drain(std::function<void()> drained);

  // Requests that run now.
  int ongoing() const { return ongoing_; }

  // What is logged and counted of them.
  Telemetry& telemetry() { return telemetry_; }

  // For Call: user code has given its reply; nothing of it is left to send.
  void OnAnswered(const Call& call);
  void OnGone(const Call& call, const base::Connection* connection);

 private:
  struct Router {
    std::shared_ptr<base::Connection> connection;
    std::map<std::uint32_t, std::shared_ptr<Call>> calls;
    std::uint32_t last_admitted = 0;
    bool refused = false;  // it waits for a slot: tell it when one is free
  };

  void OnEvents(std::uint32_t events) override;
  void OnFrame(Router& router, const base::Frame& frame);
  void OnRequest(Router& router, const base::Frame& frame);
  void OnClosed(const base::Connection* connection);
  void Cancel(Call& call);
  void TellIfDrained();
  void Refuse(Router& router, std::uint32_t stream, base::RefuseReason reason);
  void SendModels(base::Connection& connection) const;
  void SendStats(base::Connection& connection) const;
  void Hold(Router& router, const std::shared_ptr<Call>& call);
  void OfferSlots();

  base::Loop& loop_;
  UserCode& user_code_;
  base::ProgressPage* page_;
  std::uint64_t begun_ = 0;  // requests
  Telemetry telemetry_;
  base::UniqueFd listener_;
  std::string path_;
  std::map<const base::Connection*, std::unique_ptr<Router>> routers_;
  std::vector<std::string> models_;
  std::string stats_;  // "": none
  int ongoing_ = 0;
  int calls_ = 0;  // those of routers_: ongoing, or with a reply that waits for credit
  int limit_ = 1;
  bool draining_ = false;
  std::function<void()> drained_;
};

}  // namespace penstock::replica
