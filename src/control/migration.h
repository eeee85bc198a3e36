// How replicas leave a node that drains, and how one leaves that shares its rank with another: they
// serve until others do in their place. Pure.
//
// Source: behaviour specification, 4.5.
#pragma once

#include <string>
#include <vector>

#include "control/deployment.h"
#include "control/victims.h"
#include "penstock/units.h"

namespace penstock::control {

struct Migration {
  std::vector<std::string> begin;  // run, and are to leave when there is another
  std::vector<std::string> back;   // were to leave, and need not any more
  std::vector<std::string> stop;   // others serve in their place, or time is up; or they never ran
  TimePoint wake = kNever;         // when time is up for the next one
};

// A replica leaves with its node, with the node of any of its bundles, and with its gang. One that
// takes a new configuration finishes that first. The deadline of a node is when it goes: replicas
// are stopped as long before as they may take to finish.
Migration PlanMigration(const Deployment& deployment, const NodeFacts& nodes, TimePoint now);

}  // namespace penstock::control
