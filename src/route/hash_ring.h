// Consistent hashing: the same key finds the same replica, and when replicas come or go only the
// keys of those move. Pure.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace penstock::route {

// Where a key or a replica's point lies on the ring: the first half of MurmurHash3's 128 bits,
// with the seed of Ray Serve's router.
std::uint64_t HashPoint(std::string_view text);

// The hash below, for tests: MurmurHash3_x64_128 of `text`.
std::pair<std::uint64_t, std::uint64_t> Murmur3(std::string_view text, std::uint32_t seed);

class HashRing {
 public:
  HashRing() = default;

  // Gives each of `names`, which are unique, `virtual_nodes` points. Their order means nothing.
  HashRing(std::span<const std::string> names, int virtual_nodes);

  // The first `count` different names clockwise from `point`, as places in `names`; all when
  // there are fewer.
  std::vector<std::size_t> Clockwise(std::uint64_t point, std::size_t count) const;

 private:
  std::vector<std::pair<std::uint64_t, std::size_t>> points_;  // in order; place in `names`
  std::size_t names_ = 0;
};

}  // namespace penstock::route
