// The journal of an autoscaler as text.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace penstock::app {

// What `penstock explain scaling` prints, from the answer of serve.explain_scaling.
std::string ScalingText(const nlohmann::json& scaling);

}  // namespace penstock::app
