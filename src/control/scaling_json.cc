#include "control/scaling_json.h"

#include <algorithm>

namespace penstock::control {
namespace {

using Json = nlohmann::json;

Json BoundOf(const autoscale::JournalEntry& entry) {
  if (entry.decision.desired > entry.spec.max_replicas) return "max_replicas";
  if (entry.decision.desired < entry.spec.min_replicas) return "min_replicas";
  return nullptr;
}

double WantedBy(const autoscale::JournalEntry& entry) {
  if (entry.slo) return entry.slo->target;
  return entry.wanted.value_or(autoscale::Wanted(entry.spec, entry.load));
}

Json PolicyOf(const autoscale::JournalEntry& entry) {
  if (entry.slo) return kSloPolicy;
  return entry.spec.policy ? Json(entry.spec.policy->policy_function) : Json();
}

Json ChangeJson(const autoscale::JournalEntry& entry, const std::optional<AutoscalingSpec>& other) {
  Json json = {{"time_s", entry.unix_s},
               {"from", entry.load.target},
               {"to", entry.decision.target},
               {"rule", entry.decision.rule},
               {"running", entry.load.running},
               {"requests", entry.load.requests},
               {"queued", entry.queued},
               {"target_ongoing_requests", entry.spec.target_ongoing_requests},
               {"wanted", WantedBy(entry)},
               {"policy", PolicyOf(entry)},
               {"desired", entry.decision.desired},
               {"min_replicas", entry.spec.min_replicas},
               {"max_replicas", entry.spec.max_replicas},
               {"bound", BoundOf(entry)}};
  if (!entry.made_room.empty()) json["made_room"] = entry.made_room;
  if (entry.slo) json["forecast"] = entry.slo->forecast;
  if (other) {
    json["would_be"] = autoscale::CanReplay(entry, *other)
                           ? Json(autoscale::Replay(entry, *other).target)
                           : Json();
  }
  return json;
}

}  // namespace

Json ScalingJson(const Deployment& deployment, const autoscale::Journal* journal,
                 const std::optional<AutoscalingSpec>& other) {
  Json changes = Json::array();
  if (journal != nullptr) {
    for (const autoscale::JournalEntry& entry : journal->entries()) {
      changes.push_back(ChangeJson(entry, other));
    }
  }
  return {
      {"app", deployment.id.app},
      {"deployment", deployment.id.name},
      {"target_num_replicas", deployment.target_replicas},
      {"running", std::count_if(deployment.replicas.begin(), deployment.replicas.end(), InService)},
      {"autoscaled", deployment.target.spec.autoscaling.has_value()},
      {"changes", changes}};
}

}  // namespace penstock::control
