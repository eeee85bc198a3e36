// What every fuzzer starts with: its bytes as text, and choices taken from their front.
//
// A fuzzer states what must hold with PENSTOCK_CHECK: what libFuzzer reports is then a broken
// promise and not only a crash.
#pragma once

#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string_view>

#include "penstock/check.h"

namespace penstock::testing_support {

// The bytes of one run.
class FuzzInput {
 public:
  FuzzInput(const std::uint8_t* data, std::size_t size) {
    const void* bytes = data;
    rest_ = {static_cast<const char*>(bytes), size};
  }

  // The next byte; zero when none is left.
  std::uint8_t Byte() {
    if (rest_.empty()) return 0;
    const auto byte = static_cast<std::uint8_t>(rest_.front());
    rest_.remove_prefix(1);
    return byte;
  }

  // Up to `size` bytes.
  std::string_view Take(std::size_t size) {
    const std::string_view taken = rest_.substr(0, size);
    rest_.remove_prefix(taken.size());
    return taken;
  }

  // Everything that was not taken.
  std::string_view rest() const { return rest_; }

  // The rest as JSON; discarded (is_discarded()) when it is none.
  nlohmann::json Json() const {
    return nlohmann::json::parse(rest_, nullptr, /*allow_exceptions=*/false);
  }

 private:
  std::string_view rest_;
};

}  // namespace penstock::testing_support

// Opens a fuzzer: PENSTOCK_FUZZ(input) { ... }, with `input` a FuzzInput.
#define PENSTOCK_FUZZ(input)                                                          \
  static void FuzzOne(penstock::testing_support::FuzzInput input);                    \
  extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) { \
    FuzzOne(penstock::testing_support::FuzzInput(data, size));                        \
    return 0;                                                                         \
  }                                                                                   \
  static void FuzzOne(penstock::testing_support::FuzzInput input)
