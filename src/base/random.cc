#include "base/random.h"

#include <random>
#include <string_view>

namespace penstock::base {
namespace {

std::uint64_t KernelSeed() {
  std::random_device device;
  return (std::uint64_t{device()} << 32u) | device();
}

}  // namespace

Random::Random() : state_(KernelSeed()) {}

std::uint64_t Random::Next() {
  std::uint64_t z = (state_ += 0x9e3779b97f4a7c15u);
  z = (z ^ (z >> 30u)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27u)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31u);
}

std::string Random::Name(int length) {
  constexpr std::string_view kLetters = "abcdefghijklmnopqrstuvwxyz0123456789";
  std::string name;
  for (int i = 0; i < length; ++i) name += kLetters[Next() % kLetters.size()];
  return name;
}

std::string Random::Hex(int digits) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text;
  std::uint64_t bits = 0;
  for (int i = 0; i < digits; ++i) {
    if (i % 16 == 0) bits = Next();
    text += kDigits[bits & 15u];
    bits >>= 4u;
  }
  return text;
}

std::string Random::Uuid() {
  std::string hex = Hex(32);
  hex[12] = '4';
  hex[16] = "89ab"[hex[16] % 4];
  return hex.substr(0, 8) + '-' + hex.substr(8, 4) + '-' + hex.substr(12, 4) + '-' +
         hex.substr(16, 4) + '-' + hex.substr(20);
}

}  // namespace penstock::base
