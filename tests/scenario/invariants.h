// What has to be so at every moment of a simulated instance, and what once nothing is under way.
// Each answer names what is broken; empty is good.
#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "penstock/ids.h"

namespace penstock::scenario {

class Sim;

// What users asked for last.
struct Wish {
  std::string version;
  nlohmann::json options;
  bool may_fail = false;  // starts or reconfigurations of it failed: it may have given up
};
using Wishes = std::map<DeploymentId, Wish>;

// No device is given twice, by the books or by what runs; routes lead to what serves; statuses do
// not claim more than there is.
std::vector<std::string> BrokenNow(const Sim& sim);

// Also: what was wished for is there, or says truly why not; and nothing else is: no process,
// record, route or reservation. Every node is connected, and no fault is injected any more.
std::vector<std::string> BrokenAtRest(const Sim& sim, const Wishes& wishes);

}  // namespace penstock::scenario
