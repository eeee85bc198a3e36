#include "route/hash_ring.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <tuple>

namespace penstock::route {
namespace {

constexpr std::uint32_t kSeed = 4189375095;
constexpr std::size_t kBlock = 16;

// The constants of MurmurHash3_x64_128, by lane.
constexpr std::uint64_t kC1 = 0x87c37b91114253d5;
constexpr std::uint64_t kC2 = 0x4cf5ad432745937f;

std::uint64_t Word(std::string_view bytes) {
  unsigned char padded[8] = {};
  std::memcpy(padded, bytes.data(), std::min<std::size_t>(bytes.size(), sizeof padded));
  std::uint64_t word = 0;
  for (int i = 7; i >= 0; --i) word = word << 8 | padded[i];
  return word;
}

std::uint64_t Scramble1(std::uint64_t word) { return std::rotl(word * kC1, 31) * kC2; }
std::uint64_t Scramble2(std::uint64_t word) { return std::rotl(word * kC2, 33) * kC1; }

std::uint64_t Avalanche(std::uint64_t word) {
  word = (word ^ word >> 33) * 0xff51afd7ed558ccd;
  word = (word ^ word >> 33) * 0xc4ceb9fe1a85ec53;
  return word ^ word >> 33;
}

}  // namespace

std::pair<std::uint64_t, std::uint64_t> Murmur3(std::string_view text, std::uint32_t seed) {
  const std::uint64_t size = text.size();
  std::uint64_t a = seed;
  std::uint64_t b = seed;
  for (; text.size() >= kBlock; text.remove_prefix(kBlock)) {
    a = (std::rotl(a ^ Scramble1(Word(text.substr(0, 8))), 27) + b) * 5 + 0x52dce729;
    b = (std::rotl(b ^ Scramble2(Word(text.substr(8, 8))), 31) + a) * 5 + 0x38495ab5;
  }
  if (text.size() > 8) b ^= Scramble2(Word(text.substr(8)));
  if (!text.empty()) a ^= Scramble1(Word(text.substr(0, 8)));
  a ^= size;
  b ^= size;
  a += b;
  b += a;
  a = Avalanche(a);
  b = Avalanche(b);
  a += b;
  b += a;
  return {a, b};
}

std::uint64_t HashPoint(std::string_view text) { return Murmur3(text, kSeed).first; }

HashRing::HashRing(std::span<const std::string> names, int virtual_nodes) : names_(names.size()) {
  points_.reserve(names.size() * static_cast<std::size_t>(virtual_nodes));
  for (std::size_t i = 0; i < names.size(); ++i) {
    for (int node = 0; node < virtual_nodes; ++node) {
      points_.emplace_back(HashPoint(names[i] + ":" + std::to_string(node)), i);
    }
  }
  // By name where points coincide: routers that list replicas in another order must agree.
  std::ranges::sort(points_, [&](const auto& left, const auto& right) {
    return std::tie(left.first, names[left.second]) < std::tie(right.first, names[right.second]);
  });
}

std::vector<std::size_t> HashRing::Clockwise(std::uint64_t point, std::size_t count) const {
  count = std::min(count, names_);
  std::vector<std::size_t> found;
  auto at = std::ranges::lower_bound(points_, point, {}, &decltype(points_)::value_type::first);
  while (found.size() < count) {
    if (at == points_.end()) at = points_.begin();
    if (std::ranges::find(found, at->second) == found.end()) found.push_back(at->second);
    ++at;
  }
  return found;
}

}  // namespace penstock::route
