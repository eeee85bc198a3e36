// Chance, for shells: pure rooms take random bits as an argument.
#pragma once

#include <cstdint>
#include <string>

namespace penstock::base {

// SplitMix64 (Steele, Lea, Flood 2014): 64 good bits a call, eight bytes of state.
class Random {
 public:
  // Seeded from the kernel.
  Random();
  // Repeatable, for simulations.
  explicit Random(std::uint64_t seed) : state_(seed) {}

  // The next 64 bits.
  std::uint64_t Next();

  // `length` characters of [a-z0-9].
  std::string Name(int length);

  // `digits` hexadecimal digits.
  std::string Hex(int digits);

  // A random UUID, version 4, as RFC 9562 prints it.
  std::string Uuid();

 private:
  std::uint64_t state_;
};

}  // namespace penstock::base
