// Memory that two processes share: one fills slots of it, the other reads them in place.
//
// Each end of a data connection has a pool of its own, which it alone writes; the peer gets the
// descriptor once and maps it for reading. A slot is a run of granules. A pool takes no memory
// until a slot is written, and gives it back with Trim.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>

#include "base/fd.h"
#include "penstock/status.h"

namespace penstock::base {

// Largest slot, in bytes. Large enough that the system calls around one no longer count, small
// enough to stay in a core's cache between its writer and its reader.
inline constexpr std::size_t kMaxSlot = 256 << 10;

// The writer's end. Thread: one.
class SlotPool {
 public:
  // A pool of 16 MiB. kUnavailable when the kernel has no memory to share.
  static Result<std::unique_ptr<SlotPool>> Create();

  SlotPool(UniqueFd fd, char* base);
  ~SlotPool();
  SlotPool(const SlotPool&) = delete;
  SlotPool& operator=(const SlotPool&) = delete;

  // What the peer maps. Its size is sealed: a reader can rely on every byte being there.
  const UniqueFd& fd() const { return fd_; }

  // Copies `bytes` into a free slot and returns its index; nothing when none is free.
  // Pre: 0 < size <= kMaxSlot.
  std::optional<std::uint32_t> Put(std::string_view bytes);

  // The reader is done with a slot. False when it was not taken.
  bool Release(std::uint32_t index);

  // Slots taken and not released.
  std::size_t taken() const { return taken_; }

  // Gives memory that was touched back to the kernel. Pre: taken() == 0.
  void Trim();

 private:
  static constexpr std::size_t kGranule = 64 << 10;
  static constexpr std::size_t kGranules = 256;
  friend class SlotView;

  UniqueFd fd_;
  char* base_;
  std::array<bool, kGranules> busy_{};
  std::array<std::uint8_t, kGranules> run_{};  // granules of the slot that begins here, else 0
  std::size_t taken_ = 0;
  std::size_t touched_ = 0;  // granules from the first that may have memory
};

// The reader's end.
class SlotView {
 public:
  // Maps a peer's pool. kInvalidArgument when it is not one, or could shrink under the reader.
  static Result<std::unique_ptr<SlotView>> Open(const UniqueFd& fd);

  explicit SlotView(const char* base) : base_(base) {}
  ~SlotView();
  SlotView(const SlotView&) = delete;
  SlotView& operator=(const SlotView&) = delete;

  // The bytes of a slot; nothing when there is no such slot.
  std::optional<std::string_view> At(std::uint32_t index, std::uint32_t size) const;

 private:
  const char* base_;
};

}  // namespace penstock::base
