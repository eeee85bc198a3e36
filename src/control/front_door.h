// The instance's front door: one proxy on the head's node. What it is to be, what it is, and who
// waits for it to open or to close.
//
// Thread: the controller's loop.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "control/route_book.h"
#include "control/store.h"
#include "engine/engine.h"
#include "penstock/ids.h"
#include "penstock/status.h"

namespace penstock::control {

// What a proxy is to listen with, as users write it: `http_options` and `grpc_options`.
struct DoorOptions {
  nlohmann::json http = nlohmann::json::object();
  nlohmann::json grpc = nlohmann::json::object();
  friend bool operator==(const DoorOptions&, const DoorOptions&) = default;
};

struct ProxyInfo {
  std::string address;  // "host:port"
  bool healthy = false;
};

class FrontDoor {
 public:
  struct Opened {
    std::string address;           // "" when the options say that nothing is to listen
    bool options_ignored = false;  // it is open already, with others
  };
  using OnOpened = std::function<void(Result<Opened>)>;

  // `engine` outlives it. `save` remembers a write.
  FrontDoor(engine::Engine& engine, std::function<void(const Write&)> save);

  // Takes up the options that a store remembers. kInternal, naming the key, when they cannot be
  // read.
  Status Restore(const std::map<std::string, std::string>& values);

  // Opens it once there is a head. Options of a door that is open already are not changed.
  void Open(const DoorOptions& options, OnOpened done);

  // Closes it and forgets its options; `done` is called when nothing listens any more.
  void Close(std::function<void()> done);

  // A proxy listens with these options, which the store does not know.
  void OnFound(const DoorOptions& options);

  void OnHeadUp(const NodeId& head);
  void OnNodeDown(const NodeId& node);

  // A proxy, named after its node, subscribed to the routes; a router is gone.
  void OnProxyUp(RouterId router, const NodeId& node);
  void OnRouterGone(RouterId router);

  // True while there is to be a proxy that has not subscribed yet.
  bool Awaited() const;

  // The proxy that listens, by its node.
  std::map<NodeId, ProxyInfo> proxies() const;

 private:
  enum class Phase { kClosed, kOpening, kOpen, kClosing };
  struct Waiter {
    DoorOptions options;
    OnOpened done;
  };

  void Order();
  void OnAnswer(const Result<std::string>& address);
  void Shut();
  void OnClosed();
  bool Connected() const;

  engine::Engine& engine_;
  std::function<void(const Write&)> save_;
  Phase phase_ = Phase::kClosed;
  std::optional<DoorOptions> options_;  // what it is to be; nullopt: closed
  std::optional<NodeId> head_;
  std::string address_;
  std::vector<Waiter> opening_;
  std::vector<std::function<void()>> closing_;
  std::map<RouterId, NodeId> connected_;
};

}  // namespace penstock::control
