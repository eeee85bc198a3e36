// Where a running Penstock keeps its things, and how others find it.
//
//   <root>/                 PENSTOCK_HOME, else /tmp/penstock-<uid>; the user's, and writable to
//   nobody else
//     current               link to the instance that `penstock start --head` made
//     <name>/               an instance:
//       info.json           what it is: address, port, process id, whether a script owns it
//       control.sock        the control protocol
//       state.db            desired state
//       members             locked by the guard of every node while it lives
//       code/ r/ logs/ env/ deployment code, replicas' sockets, logs, runtime environments
#pragma once

#include <string>
#include <vector>

#include "base/process.h"
#include "penstock/status.h"
#include "penstock/units.h"

namespace penstock::base {

// Paths inside an instance's folder.
struct InstancePaths {
  std::string folder;

  std::string info() const { return folder + "/info.json"; }
  std::string control_socket() const { return folder + "/control.sock"; }
  std::string members() const { return folder + "/members"; }
  std::string database() const { return folder + "/state.db"; }
  std::string code() const { return folder + "/code"; }
  std::string sockets() const { return folder + "/r"; }
  std::string logs() const { return folder + "/logs"; }
  std::string environments() const { return folder + "/env"; }
};

// What info.json says.
struct InstanceInfo {
  std::string folder;
  Process agent;          // the head node's
  Process guard;          // ends after the agent and all that it started; none without one
  int port = 6379;        // the number in its address; nothing listens there
  bool embedded = false;  // belongs to a script and ends with it

  // "127.0.0.1:<port>" for a started instance, the folder for an embedded one.
  std::string Address() const;
};

// The folder of all instances.
std::string InstanceRoot();

// Makes a new instance's folder and its subfolders, for the user alone. kInternal.
// kFailedPrecondition when the root is somebody else's or others may write to it: who can put
// things there can run code as the user.
Result<InstancePaths> MakeInstance(const std::string& name);

// Writes info.json; a started instance becomes the current one.
Status PublishInstance(const InstanceInfo& info);

// Removes the link to it, if it is the current one. The folder stays: it holds the logs.
void RetractInstance(const InstanceInfo& info);

// Makes this process a member of the instance for as long as the descriptor is open. kInternal.
Result<UniqueFd> JoinInstance(const InstancePaths& paths);

// Waits until the instance has no member left. False when it still has after `patience`.
bool WaitForMembers(const InstancePaths& paths, Duration patience);

// Every instance whose agent is alive. kFailedPrecondition for a root as above.
Result<std::vector<InstanceInfo>> LiveInstances();

// The instance that `address` names: a folder, "auto" or "" for the current one, or
// "<host>:<port>" of this host. kNotFound when nothing runs there. kFailedPrecondition for a root
// as above, and for an address on another host, with a pointer to the engine that spans hosts.
Result<InstanceInfo> FindInstance(const std::string& address);

}  // namespace penstock::base
