#include "autoscale/journal.h"

#include <utility>

namespace penstock::autoscale {

bool CanReplay(const JournalEntry& entry, const AutoscalingSpec& spec) {
  if (!entry.made_room.empty()) return false;
  return !spec.slo || entry.slo || IsColdStart(entry.load);
}

Decision Replay(const JournalEntry& entry, const AutoscalingSpec& spec) {
  if (spec.slo && entry.slo) {
    return {.target = Bounded(spec, WholeGangs(entry.slo->target, entry.load.gang_size)),
            .state = {},
            .desired = entry.slo->target,
            .rule = entry.slo->rule};
  }
  return entry.wanted ? DecideFor(spec, entry.load, *entry.wanted, entry.before, entry.now)
                      : Decide(spec, entry.load, entry.before, entry.now);
}

void Journal::Note(JournalEntry entry) {
  entries_.push_back(std::move(entry));
  if (entries_.size() > kMostEntries) entries_.pop_front();
}

}  // namespace penstock::autoscale
