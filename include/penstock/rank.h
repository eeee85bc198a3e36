// A replica's place among those of its deployment.
#pragma once

namespace penstock {

// Each counts from 0, and without gaps once the deployment has settled.
struct Rank {
  int global = 0;  // among all replicas
  int node = 0;    // of its node, among the nodes that hold replicas
  int local = 0;   // among the replicas on its node

  friend bool operator==(const Rank&, const Rank&) = default;
};

}  // namespace penstock
