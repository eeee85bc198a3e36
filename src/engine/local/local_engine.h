// The engine port over the agents of this machine's nodes.
//
// Thread: the controller's loop.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/message.h"
#include "base/peer.h"
#include "engine/engine.h"

namespace penstock::engine::local {

class LocalEngine final : public Engine {
 public:
  void SetListener(EngineListener& listener) override { listener_ = &listener; }
  void Start(const StartOrder& order) override;
  void Reconfigure(const ReconfigureOrder& order) override;
  void Stop(const StopOrder& order) override;
  void StartProxy(const NodeId& node, const ProxyOrder& order,
                  std::function<void(Result<std::string>)> done) override;
  void StopProxy(const NodeId& node, std::function<void(Status)> done) override;
  void RunCodeHosts(const NodeId& node, const std::vector<CodeHostOrder>& orders) override;
  void StopNode(const NodeId& node) override;

  // What an agent says. True when the method was one of an agent's.
  bool OnCall(const std::shared_ptr<base::Peer>& peer, const std::string& method,
              const base::Json& params, const base::Peer::Respond& respond);
  bool OnNotice(const std::string& method, const base::Json& params);

  // A connection ended; if it was an agent's, its node is gone.
  void OnClosed(const base::Peer& peer, const std::string& why);

 private:
  // Passes an order on. An agent that is gone has been reported: its replicas are too.
  void Order(const NodeId& node, const std::string& method, base::Json params);
  Status Join(const std::shared_ptr<base::Peer>& peer, const base::Json& params);

  EngineListener* listener_ = nullptr;
  std::map<NodeId, std::shared_ptr<base::Peer>> agents_;
};

}  // namespace penstock::engine::local
