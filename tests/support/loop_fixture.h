// A loop that tests turn until something is so.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>

#include "base/file.h"
#include "base/loop.h"

namespace penstock::testing_support {

class LoopTest : public testing::Test {
 protected:
  LoopTest() {
    std::string name = "/tmp/penstock_test_XXXXXX";
    folder_ = ::mkdtemp(name.data());
  }
  ~LoopTest() override { base::RemoveTree(folder_); }

  // Turns the loop until `done`; fails the test after ten seconds.
  void Until(const std::function<bool()>& done) {
    const TimePoint give_up = loop_->clock().Now() + std::chrono::seconds(10);
    while (!done() && loop_->clock().Now() < give_up) loop_->RunOnce(std::chrono::milliseconds(20));
    EXPECT_TRUE(done());
  }

  // A few turns: what was under way arrives.
  void Settle() {
    for (int i = 0; i < 10; ++i) loop_->RunOnce(std::chrono::milliseconds(1));
  }

  std::string Path(const std::string& name) const { return folder_ + "/" + name; }

  std::unique_ptr<base::Loop> loop_ = *base::Loop::Create();
  std::string folder_;
};

}  // namespace penstock::testing_support
