#include "app/scaling_text.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <ctime>

namespace penstock::app {
namespace {

using Json = nlohmann::json;

std::string Reason(const Json& change) {
  if (change.contains("made_room")) return change.at("made_room");
  const int running = change.at("running");
  const double requests = change.at("requests");
  std::string text = fmt::format("{:.4g} requests ({:.4g} waiting), {} in service: ", requests,
                                 change.at("queued").get<double>(), running);
  const double wanted = change.at("wanted");
  if (change.at("rule") == "cold_start") {
    text += fmt::format("start with {:.4g}", wanted);
  } else if (change.at("policy").is_string()) {
    text += fmt::format("policy {} wants {:.4g}", change.at("policy").get<std::string>(), wanted);
  } else {
    text += fmt::format("{:.4g} / {:.4g} each = {:.4g}", requests,
                        change.at("target_ongoing_requests").get<double>(), wanted);
  }
  text += fmt::format(", so {}", change.at("desired").get<int>());
  if (change.at("bound").is_string()) {
    const std::string bound = change.at("bound");
    text += fmt::format(", {} is {}", bound, change.at(bound).get<int>());
  }
  return text;
}

}  // namespace

std::string ScalingText(const Json& scaling) {
  const std::string who =
      scaling.at("app").get<std::string>() + "/" + scaling.at("deployment").get<std::string>();
  std::string text =
      fmt::format("{}: {} replicas wanted, {} in service\n", who,
                  scaling.at("target_num_replicas").get<int>(), scaling.at("running").get<int>());
  if (!scaling.at("autoscaled").get<bool>()) {
    return text + "Its size is fixed (num_replicas); only deploys change it.\n";
  }
  if (scaling.at("changes").empty()) return text + "Its autoscaler has changed nothing yet.\n";
  for (const Json& change : scaling.at("changes")) {
    const auto when = static_cast<std::time_t>(change.at("time_s").get<double>());
    text += fmt::format("{:%F %T}  {} -> {}  {}: {}", fmt::localtime(when),
                        change.at("from").get<int>(), change.at("to").get<int>(),
                        change.at("rule").get<std::string>(), Reason(change));
    if (change.contains("would_be")) {
      const Json& would_be = change.at("would_be");
      text += would_be.is_null() ? std::string("; what the other options would do cannot be told")
                                 : fmt::format("; with the other options {}", would_be.get<int>());
    }
    text += "\n";
  }
  return text;
}

}  // namespace penstock::app
