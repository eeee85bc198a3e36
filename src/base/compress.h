// gzip and zlib of whole messages, as gRPC compresses them.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "penstock/status.h"

namespace penstock::base {

// What `encoding` ("gzip" or "deflate", which is zlib's format) made of some bytes. The result is
// at most `limit` bytes. kInvalidArgument for an encoding that is neither, or bytes that are not of
// it; kResourceExhausted beyond the limit.
Result<std::string> Decompress(std::string_view encoding, std::string_view bytes,
                               std::size_t limit);

// The inverse. kInvalidArgument for an encoding that is neither.
Result<std::string> Compress(std::string_view encoding, std::string_view bytes);

}  // namespace penstock::base
