// OPTION=VALUE on a command line.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "penstock/status.h"

namespace penstock::app {

// {"option": value} from "option=value"; what is no JSON is text. kInvalidArgument naming the pair.
Result<nlohmann::json> OptionPairs(const std::vector<std::string>& pairs);

}  // namespace penstock::app
