#include "base/shared_slots.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string>
#include <utility>

#include "penstock/check.h"

namespace penstock::base {
namespace {

constexpr int kSeals = F_SEAL_SHRINK | F_SEAL_GROW;

Status Refused() {
  return {Code::kUnavailable, std::string("shared memory: ") + std::strerror(errno)};
}

}  // namespace

Result<std::unique_ptr<SlotPool>> SlotPool::Create() {
  constexpr std::size_t kSize = kGranule * kGranules;
  UniqueFd fd(::memfd_create("penstock-slots", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!fd || ::ftruncate(fd.get(), static_cast<off_t>(kSize)) != 0 ||
      ::fcntl(fd.get(), F_ADD_SEALS, kSeals | F_SEAL_SEAL) != 0) {
    return Refused();
  }
  void* base = ::mmap(nullptr, kSize, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
  if (base == MAP_FAILED) return Refused();
  return std::make_unique<SlotPool>(std::move(fd), static_cast<char*>(base));
}

SlotPool::SlotPool(UniqueFd fd, char* base) : fd_(std::move(fd)), base_(base) {}

SlotPool::~SlotPool() { ::munmap(base_, kGranule * kGranules); }

// The lowest that is free: what was used a moment ago is warm.
std::optional<std::uint32_t> SlotPool::Put(std::string_view bytes) {
  PENSTOCK_CHECK(!bytes.empty() && bytes.size() <= kMaxSlot);
  const std::size_t need = (bytes.size() + kGranule - 1) / kGranule;
  const auto first = std::search_n(busy_.begin(), busy_.end(), static_cast<int>(need), false);
  if (first == busy_.end()) return std::nullopt;
  const auto index = static_cast<std::size_t>(first - busy_.begin());
  std::fill_n(first, need, true);
  run_[index] = static_cast<std::uint8_t>(need);
  ++taken_;
  touched_ = std::max(touched_, index + need);
  std::memcpy(base_ + index * kGranule, bytes.data(), bytes.size());
  return static_cast<std::uint32_t>(index);
}

bool SlotPool::Release(std::uint32_t index) {
  if (index >= kGranules || run_[index] == 0) return false;
  std::fill_n(busy_.begin() + index, std::exchange(run_[index], std::uint8_t{0}), false);
  --taken_;
  return true;
}

void SlotPool::Trim() {
  PENSTOCK_CHECK(taken_ == 0);
  if (touched_ == 0) return;
  // Should the kernel refuse, the memory only stays warm.
  static_cast<void>(::madvise(base_, std::exchange(touched_, 0) * kGranule, MADV_REMOVE));
}

Result<std::unique_ptr<SlotView>> SlotView::Open(const UniqueFd& fd) {
  constexpr std::size_t kSize = SlotPool::kGranule * SlotPool::kGranules;
  struct stat facts {};
  const int seals = ::fcntl(fd.get(), F_GET_SEALS);
  if (seals < 0 || (seals & kSeals) != kSeals || ::fstat(fd.get(), &facts) != 0 ||
      facts.st_size != static_cast<off_t>(kSize)) {
    return InvalidArgument("the peer's shared memory is not a pool of slots");
  }
  void* base = ::mmap(nullptr, kSize, PROT_READ, MAP_SHARED, fd.get(), 0);
  if (base == MAP_FAILED) return Refused();
  return std::make_unique<SlotView>(static_cast<const char*>(base));
}

SlotView::~SlotView() {
  ::munmap(const_cast<char*>(base_), SlotPool::kGranule * SlotPool::kGranules);
}

std::optional<std::string_view> SlotView::At(std::uint32_t index, std::uint32_t size) const {
  if (index >= SlotPool::kGranules || size > kMaxSlot) return std::nullopt;
  if (index * SlotPool::kGranule + size > SlotPool::kGranule * SlotPool::kGranules) {
    return std::nullopt;
  }
  return std::string_view(base_ + index * SlotPool::kGranule, size);
}

}  // namespace penstock::base
