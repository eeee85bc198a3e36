// Random histories, each from a seed of its own. PENSTOCK_HISTORY=SEED runs one and tells it;
// PENSTOCK_HISTORIES=N runs the first N.
#include "scenario/history.h"

#include <gtest/gtest.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>

namespace penstock::scenario {
namespace {

// Sanitizers take ten times as long.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr std::uint64_t kHistories = 100;
#else
constexpr std::uint64_t kHistories = 1000;
#endif
constexpr int kSteps = 60;

std::uint64_t Setting(const char* name) {
  const char* text = std::getenv(name);
  return text == nullptr ? 0 : std::strtoull(text, nullptr, 10);
}

// What a broken PENSTOCK_CHECK ends with too.
std::uint64_t running = 0;
void NameSeed(int) {
  std::fprintf(stderr, "again: PENSTOCK_HISTORY=%llu\n", static_cast<unsigned long long>(running));
}

// Names the first thing that is broken, and how to see it again.
bool Holds(std::uint64_t seed, const std::vector<std::string>& broken) {
  for (const std::string& what : broken) ADD_FAILURE() << what;
  const bool failed = testing::Test::HasFailure();
  if (failed) {
    ADD_FAILURE() << "again: PENSTOCK_HISTORY=" << seed
                  << " scenario_test --gtest_filter='RandomHistories.*'";
  }
  return !failed;
}

void Live(std::uint64_t seed, bool aloud) {
  running = seed;
  const auto history = std::make_unique<History>(seed);
  std::size_t told = 0;
  const auto tell = [&] {
    for (; aloud && told < history->told().size(); ++told) {
      std::printf("%s\n", history->told()[told].c_str());
    }
    std::fflush(stdout);
  };
  for (int step = 0; step < kSteps; ++step) {
    const auto broken = history->Step();
    tell();
    if (!Holds(seed, broken)) return;
  }
  const auto broken = history->Rest();
  tell();
  Holds(seed, broken);
}

TEST(RandomHistories, KeepTheInvariantsAndEndAsWished) {
  std::signal(SIGABRT, NameSeed);
  if (const std::uint64_t seed = Setting("PENSTOCK_HISTORY"); seed > 0) return Live(seed, true);
  const std::uint64_t asked = Setting("PENSTOCK_HISTORIES");
  for (std::uint64_t seed = 1; seed <= (asked > 0 ? asked : kHistories); ++seed) {
    RecordProperty("seed", std::to_string(seed));
    Live(seed, false);
    if (HasFailure()) return;
  }
}

}  // namespace
}  // namespace penstock::scenario
