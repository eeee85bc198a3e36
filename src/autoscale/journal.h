// Why a deployment's target changed: what was known, the rule, what it wanted, what the bounds made
// of it. An entry has all that the decision was made from, so that it can be made again, or with
// other options.
//
// Pure: it is told the time.
#pragma once

#include <deque>
#include <optional>
#include <string>

#include "autoscale/policy.h"
#include "autoscale/slo.h"
#include "penstock/deployment.h"
#include "penstock/units.h"

namespace penstock::autoscale {

struct JournalEntry {
  double unix_s = 0;               // when
  TimePoint now{};                 // the same, on the clock that `before` is on
  AutoscalingSpec spec;            // the options then
  Load load;                       // what was known; `target` is the one that changed
  double queued = 0;               // of load.requests, those that waited
  std::optional<double> wanted;    // what a policy of the user's returned
  std::optional<SloDecision> slo;  // what penstock:slo decided
  std::string made_room;           // for whom and why, when that was it and no policy
  DelayState before;               // the delay that was running
  Decision decision;               // what came of it
};

// Whether Replay has all it needs: penstock:slo goes by what it saw before and not by one moment,
// so it cannot be asked about a decision that it did not take; nor can any about a replica that
// made room for others.
bool CanReplay(const JournalEntry& entry, const AutoscalingSpec& spec);

// Makes the decision of `entry` again, with other options if there are any. A policy of the user's
// and penstock:slo are not asked again: they want what they wanted. Pre: CanReplay.
Decision Replay(const JournalEntry& entry, const AutoscalingSpec& spec);

class Journal {
 public:
  // The latest are kept.
  static constexpr std::size_t kMostEntries = 200;

  void Note(JournalEntry entry);

  // The oldest first.
  const std::deque<JournalEntry>& entries() const { return entries_; }

 private:
  std::deque<JournalEntry> entries_;
};

}  // namespace penstock::autoscale
