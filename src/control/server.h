// The controller's end of the control protocol: connections in, calls to the Controller.
//
// Every turn in which something happened ends with one Controller::Settle().
//
// Thread: the controller's loop.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/loop.h"
#include "base/metric_source.h"
#include "base/peer.h"
#include "control/controller.h"
#include "control/route_book.h"

namespace penstock::control {

// Those who speak a part of the protocol that is not the controller's: an engine's agents.
struct PeerExtension {
  std::function<bool(const std::shared_ptr<base::Peer>&, const std::string& method,
                     const base::Json& params, const base::Peer::Respond&)>
      on_call;
  std::function<bool(const std::string& method, const base::Json& params)> on_notice;
  std::function<void(const base::Peer&, const std::string& why)> on_closed;
};

struct ServerOptions {
  std::string socket;       // path to listen on
  std::string code_folder;  // deployment code, by its SHA-256
  double slow_startup_s = 30;
};

class Server final : public RoutePublisher, private base::FdHandler, private base::TurnEndHandler {
 public:
  Server(base::Loop& loop, ServerOptions options, PeerExtension extension);
  ~Server() override;

  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // Begins to listen. `controller` outlives the server.
  Status Listen(Controller& controller);

  void Publish(RouterId router, const route::RouteUpdate& update) override;

  // Asks whoever has metrics to show; `done` gets what came within two seconds.
  void CollectMetrics(std::function<void(std::vector<base::MetricSource>)> done);

 private:
  using Handler = void (Server::*)(const base::Message& params, const base::Peer::Respond& respond);

  void OnEvents(std::uint32_t events) override;
  void OnTurnEnd() override;
  void Accept(base::UniqueFd socket);
  void OnCall(RouterId id, const std::string& method, const base::Message& params,
              const base::Peer::Respond& respond);
  void OnNotice(RouterId id, const std::string& method, const base::Message& params);
  void OnClosed(RouterId id, const std::string& why);
  void TellLogging(RouterId proxy);

  void Start(const base::Message& params, const base::Peer::Respond& respond);
  void Deploy(const base::Message& params, const base::Peer::Respond& respond);
  void Wait(const base::Message& params, const base::Peer::Respond& respond);
  void Delete(const base::Message& params, const base::Peer::Respond& respond);
  void Shutdown(const base::Message& params, const base::Peer::Respond& respond);
  void ShowStatus(const base::Message& params, const base::Peer::Respond& respond);
  void ShowResources(const base::Message& params, const base::Peer::Respond& respond);
  void Scale(const base::Message& params, const base::Peer::Respond& respond);
  void ExplainScaling(const base::Message& params, const base::Peer::Respond& respond);
  void Drain(const base::Message& params, const base::Peer::Respond& respond);
  void Undrain(const base::Message& params, const base::Peer::Respond& respond);
  void ShowApp(const base::Message& params, const base::Peer::Respond& respond);
  Status KeepCode(const base::Message& params) const;

  base::Loop& loop_;
  ServerOptions options_;
  PeerExtension extension_;
  Controller* controller_ = nullptr;
  base::UniqueFd listener_;
  std::map<RouterId, std::shared_ptr<base::Peer>> peers_;
  std::set<RouterId> proxies_;  // are told how to log
  std::set<RouterId> metered_;  // have metrics to show
  RouterId next_id_ = 1;
  base::Random random_;
  base::Loop::TimerId timer_ = 0;
};

}  // namespace penstock::control
