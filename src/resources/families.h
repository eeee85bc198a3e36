// Accelerator families: which resources are devices, and how a process is shown its share.
//
// Source of names, variables and rules: Ray 2.60's accelerator managers, as listed in the
// behaviour specification, section 3.4.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "penstock/quantity.h"
#include "penstock/status.h"

namespace penstock::resources {

struct Family {
  // Which amounts may be asked for.
  enum class Rule {
    kShare,  // a fraction below one, or whole devices
    kWhole,  // whole devices
    kChips,  // 1, 2, 4 or 8
  };

  std::string_view vendor;       // "nvidia"; tells the families of one resource apart
  std::string_view resource;     // "GPU", "HPU", ...
  std::string_view visible_env;  // variable that names the devices a process may use; "" if none
  std::string_view opt_out_env;  // "1" there: leave visible_env alone
  std::string_view id_prefix;    // put before each device id in the variable
  Rule rule;
};

// Every family known, GPU vendors first; the first of a resource is its default.
const std::vector<Family>& Families();

// The family of `resource` made by `vendor`, or the resource's default when `vendor` is "" or
// unknown; nullptr when the resource is not made of devices.
const Family* FindFamily(std::string_view resource, std::string_view vendor = "");

// True for resources that are given out device by device rather than from a sum.
bool IsDeviceResource(std::string_view resource);

// What Ray refuses when a deployment is defined: whole families asked for in fractions, chip
// counts that no host has. kInvalidArgument with Ray's words. `amount` >= 0.
Status CheckDeviceAmount(std::string_view resource, Quantity amount);

// What Ray refuses when a replica is created: more than one device, but not a whole number.
// The message is Ray's; nullopt when the amount can be had from some node.
std::optional<std::string> ImpossibleDeviceAmount(std::string_view resource, Quantity amount);

}  // namespace penstock::resources
