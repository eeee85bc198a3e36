// Strong ids: who is meant, in a type that cannot be mistaken for another.
#pragma once

#include <compare>
#include <string>

namespace penstock {

// A deployment inside an application. Both names are the user's.
struct DeploymentId {
  std::string app;
  std::string name;

  // Ray Serve's spelling: "Deployment(name='d', app='a')".
  std::string ToString() const { return "Deployment(name='" + name + "', app='" + app + "')"; }

  friend auto operator<=>(const DeploymentId&, const DeploymentId&) = default;
};

// One replica. `unique` is eight characters of [a-z0-9], never reused within an instance.
struct ReplicaId {
  DeploymentId deployment;
  std::string unique;

  // Ray Serve's spelling: "Replica(id='x', deployment='d', app='a')".
  std::string ToString() const {
    return "Replica(id='" + unique + "', deployment='" + deployment.name + "', app='" +
           deployment.app + "')";
  }

  friend auto operator<=>(const ReplicaId&, const ReplicaId&) = default;
};

// A node, 32 hexadecimal digits.
using NodeId = std::string;

}  // namespace penstock
