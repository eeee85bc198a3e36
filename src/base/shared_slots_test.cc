#include "base/shared_slots.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <string>
#include <vector>

namespace penstock::base {
namespace {

std::size_t BytesHeld(const SlotPool& pool) {
  struct stat facts {};
  EXPECT_EQ(::fstat(pool.fd().get(), &facts), 0);
  return static_cast<std::size_t>(facts.st_blocks) * 512;
}

TEST(SharedSlots, TheReaderSeesWhatTheWriterPut) {
  auto pool = *SlotPool::Create();
  auto view = *SlotView::Open(pool->fd());
  const auto a = pool->Put("hello");
  const auto b = pool->Put(std::string(kMaxSlot, 'x'));
  ASSERT_TRUE(a && b);
  EXPECT_EQ(view->At(*a, 5), "hello");
  EXPECT_EQ(view->At(*b, kMaxSlot), std::string(kMaxSlot, 'x'));
}

TEST(SharedSlots, ReleasedOnesAreTakenAgainAndFullIsFull) {
  auto pool = *SlotPool::Create();
  std::vector<std::uint32_t> taken;
  while (const auto index = pool->Put(std::string(kMaxSlot, 'x'))) taken.push_back(*index);
  EXPECT_EQ(taken.size(), 64u);
  EXPECT_FALSE(pool->Put("x"));
  ASSERT_TRUE(pool->Release(taken[3]));
  EXPECT_FALSE(pool->Release(taken[3]));
  EXPECT_EQ(pool->Put("x"), taken[3]);
  EXPECT_TRUE(pool->Put("y"));  // beside it
  EXPECT_FALSE(pool->Put(std::string(kMaxSlot, 'x')));
}

TEST(SharedSlots, IdleMemoryIsGivenBack) {
  auto pool = *SlotPool::Create();
  EXPECT_EQ(BytesHeld(*pool), 0u);
  const auto index = pool->Put(std::string(kMaxSlot, 'x'));
  EXPECT_EQ(BytesHeld(*pool), kMaxSlot);
  pool->Release(*index);
  pool->Trim();
  EXPECT_EQ(BytesHeld(*pool), 0u);
  EXPECT_EQ(pool->taken(), 0u);
}

TEST(SharedSlots, WhatIsNoSlotIsRefused) {
  auto pool = *SlotPool::Create();
  auto view = *SlotView::Open(pool->fd());
  EXPECT_FALSE(pool->Release(0));
  EXPECT_FALSE(pool->Release(1u << 31));
  EXPECT_FALSE(view->At(256, 1));
  EXPECT_FALSE(view->At(255, kMaxSlot));
  EXPECT_FALSE(view->At(0, kMaxSlot + 1));
  // One that can be cut under its reader's feet.
  const UniqueFd open(::memfd_create("test", MFD_CLOEXEC));
  ASSERT_EQ(::ftruncate(open.get(), 16 << 20), 0);
  EXPECT_EQ(SlotView::Open(open).status().code(), Code::kInvalidArgument);
}

}  // namespace
}  // namespace penstock::base
