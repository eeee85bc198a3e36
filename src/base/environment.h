// The process environment, read in one place.
#pragma once

#include <map>
#include <string>

namespace penstock::base {

using Environment = std::map<std::string, std::string>;

// The value of a variable, or `otherwise` when it is not set.
std::string GetEnv(const char* name, const std::string& otherwise = "");

// All of it.
Environment AllEnv();

}  // namespace penstock::base
