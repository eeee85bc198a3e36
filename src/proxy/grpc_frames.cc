#include "proxy/grpc_frames.h"

#include <algorithm>

namespace penstock::proxy {

void AppendGrpcPrefix(std::string& out, std::uint8_t flag, std::uint32_t size) {
  out += static_cast<char>(flag);
  for (const unsigned shift : {24u, 16u, 8u, 0u}) out += static_cast<char>(size >> shift);
}

bool GrpcFrames::Next(std::string_view& bytes, Part& part) {
  if (head_ < kGrpcPrefix) {
    const std::size_t n = std::min(kGrpcPrefix - head_, bytes.size());
    std::copy_n(bytes.begin(), n, prefix_.begin() + static_cast<std::ptrdiff_t>(head_));
    bytes.remove_prefix(n);
    head_ += n;
    if (head_ < kGrpcPrefix) return false;
    size_ = 0;
    for (std::size_t i = 1; i < kGrpcPrefix; ++i) {
      size_ = size_ << 8u | static_cast<unsigned char>(prefix_[i]);
    }
    left_ = size_;
    begun_ = false;
  }
  if (begun_ && bytes.empty()) return false;
  const std::size_t n = std::min<std::size_t>(left_, bytes.size());
  left_ -= static_cast<std::uint32_t>(n);
  part = {.flag = static_cast<std::uint8_t>(prefix_[0]),
          .size = size_,
          .first = !begun_,
          .last = left_ == 0,
          .bytes = bytes.substr(0, n)};
  bytes.remove_prefix(n);
  begun_ = true;
  if (part.last) head_ = 0;
  return true;
}

}  // namespace penstock::proxy
