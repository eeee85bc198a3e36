#include "autoscale/journal.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

namespace penstock::autoscale {
namespace {

TEST(Journal, KeepsTheLatest) {
  Journal journal;
  for (int i = 0; i < 300; ++i) journal.Note({.load = {.running = i}});
  ASSERT_EQ(journal.entries().size(), Journal::kMostEntries);
  EXPECT_EQ(journal.entries().front().load.running, 100);
  EXPECT_EQ(journal.entries().back().load.running, 299);
}

// An entry holds all that its decision came from.
RC_GTEST_PROP(JournalProperty, AnEntryIsDecidedTheSameAgain, ()) {
  AutoscalingSpec spec;
  spec.min_replicas = *rc::gen::inRange(0, 3);
  spec.max_replicas = *rc::gen::inRange(3, 50);
  spec.upscale_delay_s = *rc::gen::element(0.0, 30.0);
  spec.downscale_delay_s = *rc::gen::element(0.0, 600.0);
  const TimePoint now = TimePoint() + std::chrono::seconds(*rc::gen::inRange(1000, 2000));
  JournalEntry entry{.now = now,
                     .spec = spec,
                     .load = {.running = *rc::gen::inRange(0, 20),
                              .target = *rc::gen::inRange(0, 20),
                              .requests = *rc::gen::inRange(0, 1000) / 7.0},
                     .before = {.direction = *rc::gen::inRange(-3, 4),
                                .since = now - std::chrono::seconds(*rc::gen::inRange(0, 700))}};
  if (*rc::gen::arbitrary<bool>()) {
    entry.wanted = *rc::gen::inRange(0, 300) / 7.0;
    entry.decision = DecideFor(spec, entry.load, *entry.wanted, entry.before, now);
  } else {
    entry.decision = Decide(spec, entry.load, entry.before, now);
  }
  const Decision again = Replay(entry, entry.spec);
  RC_ASSERT(again.target == entry.decision.target);
  RC_ASSERT(again.desired == entry.decision.desired);
  RC_ASSERT(again.rule == entry.decision.rule);
}

}  // namespace
}  // namespace penstock::autoscale
