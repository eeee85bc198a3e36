#include "base/compress.h"

#include <zlib.h>

#include <algorithm>
#include <array>

namespace penstock::base {
namespace {

constexpr std::size_t kStep = 64 << 10;
constexpr int kMemoryLevel = 8;  // zlib's default

// zlib's number for a format; zero for a name that is none.
int WindowBits(std::string_view encoding) {
  if (encoding == "gzip") return MAX_WBITS + 16;
  return encoding == "deflate" ? MAX_WBITS : 0;
}

Status NoSuchEncoding(std::string_view encoding) {
  return InvalidArgument("compression '" + std::string(encoding) +
                         "' is not known; gzip and deflate are");
}

Bytef* Input(std::string_view bytes) {
  const void* raw = bytes.data();
  return const_cast<Bytef*>(static_cast<const Bytef*>(raw));
}

// Feeds `bytes` to zlib step by step and appends what comes out, until it has ended, failed, or
// made more than `limit` bytes. `step`: inflate or deflate, told whether it has all of the input.
template <class Step>
int Pump(z_stream& stream, std::string_view& bytes, std::string& out, std::size_t limit,
         const Step& step) {
  std::array<char, kStep> piece;
  int result = Z_OK;
  while (result == Z_OK && out.size() <= limit) {
    const std::size_t size = std::min(bytes.size(), kStep);
    stream.next_in = Input(bytes);
    stream.avail_in = static_cast<uInt>(size);
    void* const raw = piece.data();
    stream.next_out = static_cast<Bytef*>(raw);
    stream.avail_out = static_cast<uInt>(piece.size());
    result = step(size == bytes.size());
    bytes.remove_prefix(size - stream.avail_in);
    out.append(piece.data(), piece.size() - stream.avail_out);
  }
  return result;
}

// Ends the stream when it goes out of scope.
struct Inflater {
  z_stream stream{};
  ~Inflater() { ::inflateEnd(&stream); }
};
struct Deflater {
  z_stream stream{};
  ~Deflater() { ::deflateEnd(&stream); }
};

}  // namespace

Result<std::string> Decompress(std::string_view encoding, std::string_view bytes,
                               std::size_t limit) {
  const int bits = WindowBits(encoding);
  if (bits == 0) return NoSuchEncoding(encoding);
  Inflater inflater;
  z_stream& stream = inflater.stream;
  if (::inflateInit2(&stream, bits) != Z_OK) return Internal("zlib has no memory");
  std::string out;
  const int result =
      Pump(stream, bytes, out, limit, [&](bool) { return ::inflate(&stream, Z_NO_FLUSH); });
  if (out.size() > limit) {
    return Status(Code::kResourceExhausted,
                  "the message is larger than " + std::to_string(limit) + " bytes");
  }
  if (result != Z_STREAM_END || !bytes.empty()) {
    return InvalidArgument("the message is not " + std::string(encoding));
  }
  return out;
}

Result<std::string> Compress(std::string_view encoding, std::string_view bytes) {
  const int bits = WindowBits(encoding);
  if (bits == 0) return NoSuchEncoding(encoding);
  Deflater deflater;
  z_stream& stream = deflater.stream;
  if (::deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, bits, kMemoryLevel,
                     Z_DEFAULT_STRATEGY) != Z_OK) {
    return Internal("zlib has no memory");
  }
  std::string out;
  const int result = Pump(stream, bytes, out, out.max_size(), [&](bool all) {
    return ::deflate(&stream, all ? Z_FINISH : Z_NO_FLUSH);
  });
  if (result != Z_STREAM_END) return Internal("zlib failed to compress");
  return out;
}

}  // namespace penstock::base
