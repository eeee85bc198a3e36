// Compressed messages: any bytes are refused or within the limit, and what we make comes back.
#include "base/compress.h"

#include "support/fuzz.h"

PENSTOCK_FUZZ(input) {
  using namespace penstock::base;
  const char* const encoding = input.Byte() % 2 == 0 ? "gzip" : "deflate";
  constexpr std::size_t kLimit = 1 << 20;
  const auto out = Decompress(encoding, input.rest(), kLimit);
  if (out.ok()) PENSTOCK_CHECK(out->size() <= kLimit);
  const auto small = Compress(encoding, input.rest());
  PENSTOCK_CHECK(small.ok());
  PENSTOCK_CHECK(*Decompress(encoding, *small, input.rest().size()) == input.rest());
}
