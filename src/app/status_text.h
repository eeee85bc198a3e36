// The status of an instance as a table for people.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace penstock::app {

// `serve`: the answer to serve.status; `cluster`: that to cluster.resources.
std::string StatusText(const nlohmann::json& serve, const nlohmann::json& cluster);

}  // namespace penstock::app
