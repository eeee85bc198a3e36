// What is known of processes that the kernel ended for want of memory.
#include "engine/local/oom_watch.h"

#include <gtest/gtest.h>

#include <fstream>

#include "support/loop_fixture.h"

namespace penstock::engine::local {
namespace {

class OomWatchTest : public testing_support::LoopTest {
 protected:
  void Write(const std::string& text) { std::ofstream(path_) << text; }

  std::string path_ = Path("vmstat");
};

TEST_F(OomWatchTest, OnlyWhatItHasSeenRiseCounts) {
  Write("nr_free_pages 5\noom_kill 3\npgfault 9\n");
  OomWatch watch(*loop_, std::chrono::hours(1), path_);
  EXPECT_FALSE(watch.KilledLately());
  Write("nr_free_pages 5\noom_kill 4\npgfault 9\n");
  EXPECT_TRUE(watch.KilledLately());
  EXPECT_TRUE(watch.KilledLately()) << "one kill may be several replicas' end";
}

TEST_F(OomWatchTest, WhatIsLongAgoIsForgotten) {
  Write("oom_kill 0\n");
  OomWatch watch(*loop_, std::chrono::milliseconds(20), path_);
  Write("oom_kill 1\n");
  ASSERT_TRUE(watch.KilledLately());
  Until([&] { return !watch.KilledLately(); });
}

TEST_F(OomWatchTest, AKernelThatDoesNotCountSaysNothing) {
  OomWatch watch(*loop_, std::chrono::hours(1), path_);
  Write("pgfault 9\n");
  EXPECT_FALSE(watch.KilledLately());
}

}  // namespace
}  // namespace penstock::engine::local
