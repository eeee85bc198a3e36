// The roles that the binary plays for other processes. Each returns the exit status.
#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "detect/node_totals.h"
#include "penstock/status.h"
#include "resources/labels.h"

namespace penstock::app {

struct NodeOptions {
  std::string folder;  // of the instance
  bool is_head = false;
  bool embedded = false;  // belongs to a script: ends when `lifeline` does
  int port = 6379;        // names the instance in its address
  int metrics_port = -1;  // where the head shows metrics; 0: one that is free; -1: nowhere
  std::string name;
  std::string ip = "127.0.0.1";
  detect::DeclaredResources resources;
  resources::Labels labels;
  std::string python;    // of that script: replicas are likely to need it
  int lifeline = -1;     // descriptor that is closed when the owner ends; -1 for none
  int report = -1;       // descriptor to report to, once joined or failed, as a line of JSON
  bool guarded = false;  // its parent is a guard
};

// The agent of a node; on the head it also keeps the controller running.
int RunNode(const NodeOptions& options);

// Runs `penstock node <arguments>` and, when that has ended in whatever way, kills what is left of
// all that it started. An agent ends its replicas' processes itself; one that is killed cannot.
int RunGuard(const std::vector<std::string>& arguments);

struct ControllerRoleOptions {
  std::string folder;
  std::string ip;
  bool shows_metrics = false;  // on the listening socket that is descriptor 3
};

// The controller of an instance.
int RunController(const ControllerRoleOptions& options);

struct ProxyRoleOptions {
  std::string folder;
  std::string node;
  std::string ip;
  std::string grpc;  // gRPC options, JSON; "" when it serves none
};

// The proxy; its listening socket is descriptor 3, that for gRPC 4. Its HTTP options are in the
// environment.
int RunProxy(const ProxyRoleOptions& options);

// Why a proxy with these HTTP options could not run on this host, if so.
Status CheckProxy(const nlohmann::json& options);

// A replica of C++ code; its control socket is the descriptor PENSTOCK_CONTROL_FD names.
int RunReplica();

}  // namespace penstock::app
